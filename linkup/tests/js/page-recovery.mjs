// What the page does when its connection breaks, in every way that a connection breaks.
//
//   node page-recovery.mjs BASE_URL
//
// In the end the gateway has to be restarted: the script prints a line that asks for it. Ends with status 0 if
// everything was as it should be, and with 1 and the reason otherwise.

import { check, conversationWith, find, messageWith, online, openPage, outage, person, register } from "./page.mjs";
import { rest, run, say, sees, seqs, testId, tokenOf, until } from "./page.mjs";
import { Relay } from "./relay.mjs";

const [baseUrl] = process.argv.slice(2);

const state = (page) => testId(page, "connection-state");
const comeback = (page, how) => page.locator(`[data-testid="connection-state"][data-state="online"][data-comeback="${how}"]`);

async function unsettled(page) {
  await until("the connection is lost", async () => (await state(page).getAttribute("data-state")) !== "online");
}

/** Does not wait until the page tries again, unless it just did. */
async function hurry(page) {
  await testId(page, "reconnect").evaluate((button) => button.hidden || button.click());
}

/** What Bob does while Ann is not there, by REST: he writes, edits, deletes and reads. */
async function meanwhile(bob, conversation, texts) {
  const at = `/api/conversations/${conversation}/messages`;
  const sent = [];
  for (const content of texts) sent.push(await rest(baseUrl, bob.token, "POST", at, { content }));
  await rest(baseUrl, bob.token, "PUT", `/api/messages/${sent[0]._id}`, { content: `${texts[0]} (edited)` });
  await rest(baseUrl, bob.token, "DELETE", `/api/messages/${sent[1]._id}`);
  await rest(baseUrl, bob.token, "PUT", `/api/messages/${sent[2]._id}/read`);
}

async function isComplete(page, name, texts, last) {
  await messageWith(page, texts[2]).waitFor();
  await messageWith(page, `${texts[0]} (edited)`).waitFor();
  await until("the deletion is seen", async () => (await messageWith(page, texts[1]).count()) === 0);
  const numbers = await seqs(page);
  check(numbers.join() === Array.from({ length: last }, (_, index) => index + 1).join(), `${name} has 1 to ${last}, each once`);
}

async function recovered(annPage, relay, bob, conversation) {
  await say(annPage, "Before the tunnel");
  const texts = ["Still here?", "Wrong window", "Hello?"];
  annPage.asked.length = 0;
  annPage.sent.length = 0;
  outage.now = true;
  relay.cut();
  await unsettled(annPage);
  await meanwhile(bob, conversation, texts);
  await until("the seconds are counted down", async () => /in \d+ s/.test(await state(annPage).innerText()));
  await testId(annPage, "connection-aloud").filter({ hasText: "Connection lost" }).waitFor();
  check(true, "the page says that it reconnects, and when, and says it aloud once");
  await testId(annPage, "composer").fill("Written in the tunnel");
  await testId(annPage, "composer").press("Enter");
  relay.mend();
  await hurry(annPage);
  await comeback(annPage, "recovered").waitFor();
  outage.now = false;
  await messageWith(annPage, "Written in the tunnel").and(annPage.locator('[data-state="sent"]')).waitFor();
  await isComplete(annPage, "Ann", texts, 6);
  await messageWith(annPage, "Before the tunnel").getByTestId("receipt").waitFor();
  check(annPage.asked.length === 0, `after a cut everything came by itself, nothing was asked for by REST ${annPage.asked}`);
  const [name, { pid, offset }] = annPage.sent[0];
  check(name === "resume" && pid && offset, "the page came back with its pid and offset");
  await testId(annPage, "connection-aloud").filter({ hasText: "recovered" }).waitFor();
}

/** With a pid that the server did not make: as if too much time had passed. */
async function caughtUp(browser, relay, annPage, bob, conversation) {
  const context = annPage.context();
  const page = await context.newPage();
  await page.routeWebSocket(/\/ws$/, (near) => {
    const far = near.connectToServer();
    near.onMessage((message) => far.send(message.replace(/"pid":"[^"]*"/, '"pid":"of another time"')));
  });
  page.asked = [];
  page.on("request", (request) => page.asked.push(request.url()));
  await page.goto(relay.base);
  const session = await annPage.evaluate(() => sessionStorage.getItem("linkup.session"));
  await page.evaluate((value) => sessionStorage.setItem("linkup.session", value), session);
  await page.goto(`${relay.base}/#c=${conversation}`);
  await page.reload();
  await online(page);
  await messageWith(page, "Written in the tunnel").waitFor();
  outage.now = true;
  relay.cut();
  await unsettled(page);
  const texts = ["And again", "Oops", "Are you back?"];
  await meanwhile(bob, conversation, texts);
  const before = await messageWith(page, "Still here?").getAttribute("data-seq");
  const messages = await rest(baseUrl, bob.token, "GET", `/api/conversations/${conversation}/messages?after=${before - 1}&limit=1`);
  await rest(baseUrl, bob.token, "PUT", `/api/messages/${messages[0]._id}`, { content: "Long ago, edited since" });
  page.asked.length = 0;
  relay.mend();
  await hurry(page);
  await comeback(page, "caught-up").waitFor();
  await online(annPage);
  outage.now = false;
  await isComplete(page, "a tab that could not be recovered", texts, 9);
  await messageWith(page, "Long ago, edited since").waitFor();
  const list = page.asked.filter((url) => url.endsWith("/api/conversations"));
  check(list.length === 1, "it asked for the list once");
  check(page.asked.some((url) => url.includes("after=")), "and for what comes after the last message");
  await page.close();
}

async function offline(annPage) {
  outage.now = true;
  annPage.asked.length = 0;
  await annPage.context().setOffline(true);
  await annPage.locator('[data-testid="connection-state"][data-state="offline"]').waitFor();
  check((await state(annPage).innerText()).startsWith("Offline"), "without a network the page says so");
  await annPage.context().setOffline(false);
  await comeback(annPage, "recovered").waitFor();
  outage.now = false;
  check(annPage.asked.length === 0, "and recovers by itself");
}

/** Close codes that no server sends at will, from a server that is played. */
async function closed(browser) {
  const page = await openPage(browser, baseUrl);
  let attempts = 0;
  let code = 4409;
  await page.routeWebSocket(/\/ws$/, (socket) => {
    attempts += 1;
    if (code === null) socket.connectToServer();
    else socket.onMessage(() => socket.close({ code }));
  });
  await testId(page, "show-register").click();
  const dan = person("Dan");
  for (const field of ["name", "email", "password"]) await testId(page, `register-${field}`).fill(dan[field]);
  await testId(page, "register-submit").click();
  const halted = page.locator('[data-testid="connection-state"][data-state="halted"]');
  await halted.waitFor();
  for (const next of [4409, 1002, 1003, 1007, 1009]) {
    code = next;
    attempts = 0;
    await page.reload();
    await halted.waitFor();
    await page.waitForTimeout(1_500);
    check(attempts === 1, `after ${code} the page does not come back by itself`);
  }
  code = null;
  await page.evaluate(() => document.getElementById("reconnect").click());
  await online(page);
  check(true, "until it is told to");
  await page.context().close();
}

async function signedOutElsewhere(annPage, ann) {
  await rest(baseUrl, await tokenOf(annPage), "DELETE", "/api/auth/sessions");
  await testId(annPage, "login-error").filter({ hasText: "signed out" }).waitFor();
  check((await annPage.evaluate(() => sessionStorage.length)) === 0, "a session that is ended elsewhere ends on the page");
  await testId(annPage, "login-email").fill(ann.email);
  await testId(annPage, "login-password").fill(ann.password);
  await testId(annPage, "login-submit").click();
  await online(annPage);
}

async function throughARestart(annPage, bobPage) {
  for (const page of [annPage, bobPage]) {
    await page.evaluate(() => {
      globalThis.lost = false;
      const pill = document.querySelector('[data-testid="connection-state"]');
      const look = () => (globalThis.lost ||= pill.dataset.state !== "online");
      new MutationObserver(look).observe(pill, { attributeFilter: ["data-state"] });
    });
  }
  outage.now = true;
  console.log("restart the gateway");
  for (const page of [annPage, bobPage]) {
    await until("the restart is noticed", () => page.evaluate(() => globalThis.lost), 60_000);
    await comeback(page, "recovered").waitFor();
  }
  outage.now = false;
  check(true, "a restart of the gateway is recovered from as well");
  await say(bobPage, "After the restart");
  await sees(annPage, "Ann", "After the restart");
}

run(240_000, async (browser) => {
  const relay = await Relay.start(baseUrl);
  const [ann, bob] = [person("Ann"), person("Bob")];
  const [annPage, bobPage] = [await openPage(browser, relay.base), await openPage(browser, baseUrl)];
  await register(annPage, ann);
  await register(bobPage, bob);
  bob.token = await tokenOf(bobPage);
  await find(annPage, bob);
  await say(annPage, "Hello Bob!");
  const conversation = await conversationWith(annPage, bob.name).getAttribute("data-conversation-id");
  await recovered(annPage, relay, bob, conversation);
  await caughtUp(browser, relay, annPage, bob, conversation);
  await offline(annPage);
  await closed(browser);
  await signedOutElsewhere(annPage, ann);
  await conversationWith(annPage, bob.name).click();
  await conversationWith(bobPage, ann.name).click();
  await throughARestart(annPage, bobPage);
});
