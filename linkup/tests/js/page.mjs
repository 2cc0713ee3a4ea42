// What the scripts that drive the page in a real browser share.

import { chromium } from "playwright-core";

export const STEP_MS = 20_000;
export const LAPTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** What went wrong inside the pages: script errors, refused resources, requests to other hosts. */
export const incidents = [];

/** While the server is away (`true`), browsers report connections that are refused. */
export const outage = { now: false };

export function check(holds, what) {
  if (!holds) throw new Error(`not true: ${what}`);
  console.log(`ok: ${what}`);
}

export const testId = (page, id) => page.getByTestId(id);
export const messageWith = (page, text) => testId(page, "message").filter({ hasText: text });
export const conversationWith = (page, name) => testId(page, "conversation").filter({ hasText: name });

/** Waits until `holds` resolves with true. */
export async function until(what, holds, patience = STEP_MS) {
  const deadline = Date.now() + patience;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function person(name) {
  const tag = crypto.randomUUID().slice(0, 8);
  // The tag is in the name too, so that a search finds this run's user only.
  return { name: `${name} ${tag}`, email: `${tag}@example.org`, password: `secret-${tag}-Pass1` };
}

/** A page at `baseUrl` in a browser profile of its own. */
export async function openPage(browser, baseUrl, viewport = LAPTOP, extra = {}) {
  const context = await browser.newContext({ viewport, ...extra });
  const page = await context.newPage();
  watch(page, baseUrl);
  await page.goto(baseUrl);
  return page;
}

/** Notes what goes wrong inside a page, and in `page.asked` and `page.sent` what it asks by REST and says on `/ws`. */
export function watch(page, ...urls) {
  page.setDefaultTimeout(STEP_MS);
  page.asked = [];
  page.sent = [];
  page.on("websocket", (socket) => {
    if (socket.url().endsWith("/ws")) socket.on("framesent", ({ payload }) => page.sent.push(JSON.parse(payload)));
  });
  page.on("pageerror", (error) => incidents.push(`script error: ${error.message}`));
  page.on("console", (line) => {
    if (line.type() === "error" && !outage.now) incidents.push(`console: ${line.text()}`);
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.pathname.startsWith("/api/")) page.asked.push(`${request.method()} ${url.pathname}${url.search}`);
    const local = url.protocol === "data:" || urls.some((one) => new URL(one).host === url.host);
    if (!local) incidents.push(`request to another host: ${url.host}`);
  });
}

export async function online(page) {
  await page.locator('[data-testid="connection-state"][data-state="online"]').waitFor();
}

export async function register(page, user) {
  await testId(page, "show-register").click();
  await testId(page, "register-name").fill(user.name);
  await testId(page, "register-email").fill(user.email);
  await testId(page, "register-password").fill(user.password);
  await testId(page, "register-submit").click();
  await online(page);
  check((await testId(page, "signed-in-user").innerText()) === user.name, `${user.name} has registered and is online`);
}

export async function signIn(page, user, where) {
  await testId(page, "login-email").fill(user.email);
  await testId(page, "login-password").fill(user.password);
  await testId(page, "login-submit").click();
  await online(page);
  check((await testId(page, "signed-in-user").innerText()) === user.name, `${user.name} has signed in ${where}`);
}

export async function find(page, user) {
  await testId(page, "search").fill(user.name);
  const result = testId(page, "search-result").filter({ hasText: user.name });
  await result.waitFor();
  check(/^[0-9a-f]{24}$/.test(await result.getAttribute("data-user-id")), `${user.name} is found by name`);
  await result.click();
}

export async function say(page, text) {
  await testId(page, "composer").fill(text);
  await testId(page, "composer").press("Enter");
  await messageWith(page, text).and(page.locator('[data-state="sent"]')).waitFor();
}

export async function sees(page, name, text) {
  await messageWith(page, text).and(page.locator('[data-state="received"]')).waitFor();
  check((await messageWith(page, text).count()) === 1, `${name} sees "${text}" once, without a reload`);
}

export async function seqs(page) {
  return page.getByTestId("message").evaluateAll((bubbles) => bubbles.map((bubble) => Number(bubble.dataset.seq)));
}

/** Calls the REST API; `token` may be null. */
export async function rest(baseUrl, token, method, path, body) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(baseUrl + path, { method, headers, body: body && JSON.stringify(body) });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** The token of whoever is signed in on a page. */
export async function tokenOf(page) {
  return page.evaluate(() => JSON.parse(sessionStorage.getItem("linkup.session")).token);
}

/** Runs a script with a browser, within `overall` ms, and ends the process with what it came to. */
export function run(overall, script) {
  // Whatever hangs, this does not. Playwright ends its browser together with this process.
  setTimeout(() => {
    console.error(`FAILED: not done after ${overall / 1_000} s`);
    process.exit(1);
  }, overall);
  withBrowser(script).then(
    () => {
      console.log("all checks passed");
      process.exit(0);
    },
    (error) => {
      console.error(`FAILED: ${error.stack}`);
      if (incidents.length > 0) console.error(`in the pages: ${incidents.join("; ")}`);
      process.exit(1);
    },
  );
}

async function withBrowser(script) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium",
    args: FLAGS,
    timeout: STEP_MS * 3,
  });
  try {
    await script(browser);
    check(incidents.length === 0, `no page had an error ${incidents.join("; ")}`.trim());
  } finally {
    await browser.close();
  }
}
