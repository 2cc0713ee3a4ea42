// Two people in two real browsers use the page of a running LinkUp, as a stranger would.
//
//   node browser.mjs BASE_URL [SCREENSHOT_DIR]
//
// In the end the gateway has to be restarted: the script prints a line that asks for it. CHROMIUM_PATH names the
// browser (default /usr/bin/chromium). Prints a line for each thing that it has seen to be
// true; ends with status 0 if all of it is, and with 1 and the reason otherwise, within three minutes.

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { chromium } from "playwright-core";

const OVERALL_MS = 180_000;
const STEP_MS = 20_000;
const LAPTOP = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const [baseUrl, screenshotDir] = process.argv.slice(2);
if (!baseUrl) {
  console.error("usage: node browser.mjs BASE_URL [SCREENSHOT_DIR]");
  process.exit(2);
}

/** What went wrong inside the pages: script errors, refused resources, requests to other hosts. */
const incidents = [];

/** While the server is away, browsers report connections that are refused. */
let outage = false;

function check(holds, what) {
  if (!holds) throw new Error(`not true: ${what}`);
  console.log(`ok: ${what}`);
}

const testId = (page, id) => page.getByTestId(id);
const messageWith = (page, text) => testId(page, "message").filter({ hasText: text });
const conversationWith = (page, name) => testId(page, "conversation").filter({ hasText: name });

function person(name) {
  const tag = crypto.randomUUID().slice(0, 8);
  // The tag is in the name too, so that a search finds this run's user only.
  return { name: `${name} ${tag}`, email: `${tag}@example.org`, password: `secret-${tag}-Pass1` };
}

async function openPage(browser, viewport, extra = {}) {
  const context = await browser.newContext({ viewport, ...extra });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MS);
  page.on("pageerror", (error) => incidents.push(`script error: ${error.message}`));
  page.on("console", (line) => {
    if (line.type() === "error" && !outage) incidents.push(`console: ${line.text()}`);
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    const local = url.protocol === "data:" || url.host === new URL(baseUrl).host;
    if (!local) incidents.push(`request to another host: ${url.host}`);
  });
  await page.goto(baseUrl);
  return page;
}

async function online(page) {
  await page.locator('[data-testid="connection-state"][data-state="online"]').waitFor();
}

async function register(page, user) {
  await testId(page, "show-register").click();
  await testId(page, "register-name").fill(user.name);
  await testId(page, "register-email").fill(user.email);
  await testId(page, "register-password").fill(user.password);
  await testId(page, "register-submit").click();
  await online(page);
  check((await testId(page, "signed-in-user").innerText()) === user.name, `${user.name} has registered and is online`);
}

async function signIn(page, user) {
  await testId(page, "login-email").fill(user.email);
  await testId(page, "login-password").fill(user.password);
  await testId(page, "login-submit").click();
  await online(page);
  check((await testId(page, "signed-in-user").innerText()) === user.name, `${user.name} has signed in on a phone`);
}

async function find(page, user) {
  await testId(page, "search").fill(user.name);
  const result = testId(page, "search-result").filter({ hasText: user.name });
  await result.waitFor();
  check(/^[0-9a-f]{24}$/.test(await result.getAttribute("data-user-id")), `${user.name} is found by name`);
  await result.click();
}

async function say(page, text) {
  await testId(page, "composer").fill(text);
  await testId(page, "composer").press("Enter");
  await messageWith(page, text).and(page.locator('[data-state="sent"]')).waitFor();
}

async function sees(page, name, text) {
  await messageWith(page, text).and(page.locator('[data-state="received"]')).waitFor();
  check((await messageWith(page, text).count()) === 1, `${name} sees "${text}" once, without a reload`);
}

async function unreadOf(page, name) {
  return Number.parseInt(await conversationWith(page, name).getByTestId("unread-badge").innerText(), 10);
}

async function seqs(page) {
  const bubbles = await testId(page, "message").all();
  return Promise.all(bubbles.map(async (bubble) => Number(await bubble.getAttribute("data-seq"))));
}

async function fitsItsWidth(page) {
  return page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
}

async function picture(page, name) {
  if (!screenshotDir) return;
  await mkdir(screenshotDir, { recursive: true });
  await page.screenshot({ path: path.join(screenshotDir, `${name}.png`) });
}

async function onLaptops(browser, ann, bob) {
  const annPage = await openPage(browser, LAPTOP);
  const bobPage = await openPage(browser, LAPTOP);
  await picture(annPage, "sign-in");
  await register(annPage, ann);
  await register(bobPage, bob);
  await picture(bobPage, "first-run");

  await find(annPage, bob);
  await say(annPage, "Hello Bob, are you there?");
  await say(annPage, "It is me, Ann.");
  await conversationWith(bobPage, ann.name).getByTestId("unread-badge").filter({ hasText: "2" }).waitFor();
  check((await unreadOf(bobPage, ann.name)) === 2, "Bob's list shows the conversation with two unread messages");
  await picture(bobPage, "unread");

  await conversationWith(bobPage, ann.name).click();
  await sees(bobPage, "Bob", "Hello Bob, are you there?");
  await testId(bobPage, "unread-badge").waitFor({ state: "detached" });
  check(true, "opening the conversation takes the unread badge away");
  await say(bobPage, "Hi Ann! Yes, right here.");
  await sees(annPage, "Ann", "Hi Ann! Yes, right here.");
  await say(annPage, "Great. <b>This</b> & that stay as they are.");
  await sees(bobPage, "Bob", "Great. <b>This</b> & that stay as they are.");
  check((await bobPage.locator(".messages b").count()) === 0, "markup in a message stays text");
  for (const [name, page] of [["Ann", annPage], ["Bob", bobPage]]) {
    check((await seqs(page)).join() === "1,2,3,4", `${name} has the messages 1 to 4 in order`);
  }
  await picture(annPage, "laptop");

  await bobPage.reload();
  await online(bobPage);
  await messageWith(bobPage, "It is me, Ann.").waitFor();
  const unread = await testId(bobPage, "unread-badge").count();
  check(unread === 0, "after a reload Bob is still signed in and nothing is unread");
  return { annPage, bobPage };
}

async function onAPhone(browser, annPage, ann, bob) {
  const phone = await openPage(browser, PHONE, { isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
  await signIn(phone, bob);
  await conversationWith(phone, ann.name).waitFor();
  check(await fitsItsWidth(phone), "the list fits the phone");
  await picture(phone, "phone-list");

  await conversationWith(phone, ann.name).tap();
  await testId(phone, "composer").waitFor();
  check(!(await testId(phone, "search").isVisible()), "on the phone the conversation takes the whole screen");
  await messageWith(phone, "Hi Ann! Yes, right here.").waitFor();
  await testId(phone, "composer").fill("Now from my phone.");
  await testId(phone, "send").tap();
  await sees(annPage, "Ann", "Now from my phone.");
  await say(annPage, "Well received.");
  await sees(phone, "Bob on the phone", "Well received.");
  check(await fitsItsWidth(phone), "the conversation fits the phone");
  await picture(phone, "phone-thread");

  await testId(phone, "back").tap();
  await testId(phone, "search").waitFor();
  check(!(await testId(phone, "composer").isVisible()), "the back button shows the list again");
  await testId(phone, "sign-out").tap();
  await testId(phone, "login-submit").waitFor();
  check(true, "signing out shows the sign-in form");
}

async function throughARestart(annPage, bobPage) {
  const pages = [annPage, bobPage];
  for (const page of pages) {
    await page.evaluate(() => {
      globalThis.lost = false;
      const state = document.querySelector('[data-testid="connection-state"]');
      const look = () => (globalThis.lost ||= state.dataset.state !== "online");
      new MutationObserver(look).observe(state, { attributeFilter: ["data-state"] });
    });
  }
  outage = true;
  console.log("restart the gateway");
  for (const page of pages) {
    while (!(await page.evaluate(() => globalThis.lost))) await page.waitForTimeout(50);
    await online(page);
  }
  outage = false;
  check(true, "both pages notice the restart and come back by themselves");
  await say(bobPage, "Are you back?");
  await sees(annPage, "Ann", "Are you back?");
  await say(annPage, "Yes.");
  await sees(bobPage, "Bob", "Yes.");
  for (const [name, page] of [["Ann", annPage], ["Bob", bobPage]]) {
    check((await seqs(page)).join() === "1,2,3,4,5,6,7,8", `${name} has the messages 1 to 8 in order`);
  }
}

async function main() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM_PATH ?? "/usr/bin/chromium",
    args: FLAGS,
    timeout: STEP_MS * 3,
  });
  const ann = person("Ann");
  const bob = person("Bob");
  try {
    const { annPage, bobPage } = await onLaptops(browser, ann, bob);
    await onAPhone(browser, annPage, ann, bob);
    await throughARestart(annPage, bobPage);
    check(incidents.length === 0, `no page had an error ${incidents.join("; ")}`.trim());
  } finally {
    await browser.close();
  }
}

// Whatever hangs, this does not. Playwright ends its browser together with this process.
setTimeout(() => {
  console.error(`FAILED: not done after ${OVERALL_MS / 1000} s`);
  process.exit(1);
}, OVERALL_MS);

main().then(
  () => {
    console.log("all checks passed");
    process.exit(0);
  },
  (error) => {
    console.error(`FAILED: ${error.message}`);
    if (incidents.length > 0) console.error(`in the pages: ${incidents.join("; ")}`);
    process.exit(1);
  },
);
