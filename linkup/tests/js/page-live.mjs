// What changes on the page while one looks on: presence, typing, read receipts, edited and deleted messages, and unread
// badges over several tabs.
//
//   node page-live.mjs BASE_URL [SCREENSHOT_DIR]
//
// Ends with status 0 if everything was as it should be, and with 1 and the reason otherwise.

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { check, conversationWith, find, messageWith, openPage, person, register, rest, run, say, sees } from "./page.mjs";
import { signIn, testId, tokenOf, until } from "./page.mjs";

const [baseUrl, screenshotDir] = process.argv.slice(2);
/** The server waits for 15 s before it tells that somebody is gone. */
const GRACE_MS = 60_000;

const subtitle = (page) => testId(page, "conversation-subtitle");
const badge = (page, name) => conversationWith(page, name).getByTestId("unread-badge");
const dot = (page, name, status) => conversationWith(page, name).locator(`[data-testid="presence"][data-status="${status}"]`);

async function picture(page, name) {
  if (!screenshotDir) return;
  await mkdir(screenshotDir, { recursive: true });
  await page.screenshot({ path: path.join(screenshotDir, `${name}.png`) });
}

async function reads(locator, text) {
  await locator.filter({ hasText: text }).waitFor();
}

/** The headless browser has no tabs to hide: the page is told that it is hidden. */
async function setHidden(page, hidden) {
  await page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
    Object.defineProperty(document, "hidden", { configurable: true, get: () => state === "hidden" });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden ? "hidden" : "visible");
}

async function presence(annPage, bobPage, bob) {
  await reads(subtitle(annPage), "Online");
  await dot(annPage, bob.name, "online").waitFor();
  check(true, "Ann sees that Bob is online, beside the conversation and over it");
  await bobPage.clock.install();
  await setHidden(bobPage, true);
  await bobPage.clock.fastForward(59_000);
  const told = () => bobPage.sent.filter(([name]) => name === "user:status").map(([, payload]) => payload.status);
  check(told().length === 0, "of a tab that was hidden for less than a minute nothing is told");
  await bobPage.clock.fastForward(2_000);
  await reads(subtitle(annPage), "Away");
  await dot(annPage, bob.name, "away").waitFor();
  check(true, "a tab that is hidden for a minute makes its user away");
  await setHidden(bobPage, false);
  await reads(subtitle(annPage), "Online");
  check(told().join() === "away,online", "and looking at it again makes them online");
}

async function typing(annPage, bobPage, bob) {
  const line = testId(annPage, "typing");
  await testId(bobPage, "composer").pressSequentially("Hm");
  await reads(line, `${bob.name} is typing…`);
  await reads(conversationWith(annPage, bob.name).getByTestId("preview"), "is typing…");
  check(true, "Ann sees that Bob is typing, in the conversation and in the list");
  // Bob's clock was taken over above; it goes on by itself.
  await until("the line goes", async () => (await line.innerText()) === "");
  check(true, "two seconds after the last key it is gone");
  await testId(bobPage, "composer").pressSequentially(", yes");
  await reads(line, "is typing…");
  await testId(bobPage, "composer").press("Enter");
  await sees(annPage, "Ann", "Hm, yes");
  check((await line.innerText()) === "", "and with the message it is gone at once");

  // Bob's page stops in the middle of a word, as if it had died: it never says that he stopped.
  await annPage.clock.install();
  await bobPage.clock.pauseAt((await bobPage.evaluate(() => Date.now())) + 1_000);
  await testId(bobPage, "composer").pressSequentially("Wel");
  await reads(line, "is typing…");
  await annPage.clock.fastForward(31_000);
  // Nobody would take it back before a minute is over.
  await until("the line goes", async () => (await line.innerText()) === "", 5_000);
  check(true, "what nobody says again for half a minute is over");
  await bobPage.clock.resume();
  await testId(bobPage, "composer").fill("");
  await until("the line goes", async () => (await line.innerText()) === "");
}

async function receipts(annPage, bobPage, bob) {
  await setHidden(bobPage, true);
  await say(annPage, "Have you seen this?");
  await sees(bobPage, "Bob", "Have you seen this?");
  const receipt = messageWith(annPage, "Have you seen this?").getByTestId("receipt");
  check((await receipt.count()) === 0, "what arrives in a hidden tab is not read");
  await setHidden(bobPage, false);
  await reads(receipt, "Read");
  check((await testId(annPage, "receipt").count()) === 1, "once Bob looks, the newest message that he has read says so");
  const marks = bobPage.sent.filter(([name]) => name === "message:read").map(([, payload]) => payload.messageId);
  check(marks.length === 2 && marks[0] !== marks[1], "and he has told so once for each time that there was something new");
}

async function changes(annPage, bobPage) {
  await testId(annPage, "composer").press("ArrowUp");
  await testId(annPage, "editing").waitFor();
  await testId(annPage, "composer").press("Control+a");
  await testId(annPage, "composer").pressSequentially("Have you seen <i>that</i>?");
  await testId(annPage, "composer").press("Enter");
  await messageWith(bobPage, "Have you seen <i>that</i>?").getByTestId("edited").waitFor();
  check((await messageWith(bobPage, "seen this?").count()) === 0, "an edited message has its new text and says that it was edited");
  await reads(conversationWith(bobPage, "Ann").getByTestId("preview"), "Have you seen <i>that</i>?");
  check((await testId(annPage, "composer").inputValue()) === "", "the composer is empty again");

  await say(annPage, "A slip of the tongue.");
  await sees(bobPage, "Bob", "A slip of the tongue.");
  annPage.once("dialog", (dialog) => dialog.accept());
  // With the keyboard alone: one stop before the composer, Enter for the choices, on to the second of them.
  await testId(annPage, "composer").press("Shift+Tab");
  await annPage.keyboard.press("Enter");
  check((await annPage.evaluate(() => document.activeElement.dataset.testid)) === "message-edit", "the keyboard reaches the choices");
  await annPage.keyboard.press("Tab");
  await annPage.keyboard.press("Enter");
  const last = testId(bobPage, "message").last();
  await reads(last, "Message deleted");
  await reads(testId(annPage, "message").last(), "Message deleted");
  await reads(conversationWith(bobPage, "Ann").getByTestId("preview"), "Message deleted");
  check((await messageWith(bobPage, "A slip of the tongue.").count()) === 0, "a deleted message is gone everywhere");
  const words = await annPage.locator("body").innerText();
  check(!/undefined|null|NaN|\[object/.test(words), "no word on the page is a programmer's");
}

async function badges(browser, annPage, bobPage, ann, bob) {
  const second = await openPage(browser, baseUrl);
  await signIn(second, bob, "in a second tab");
  await conversationWith(second, ann.name).waitFor();
  await badge(second, ann.name).waitFor({ state: "detached" });
  check(true, "what was read in one tab is read in another one that is opened later");
  await bobPage.evaluate(() => {
    location.hash = "";
  });
  await testId(bobPage, "composer").waitFor({ state: "hidden" });
  const tabs = [bobPage, second];
  for (const text of ["One", "Two", "Three"]) await say(annPage, text);
  for (const tab of tabs) await reads(badge(tab, ann.name), "3");
  for (const tab of tabs) check((await tab.title()) === "(3) LinkUp", "the title counts what is unread");
  const token = await tokenOf(annPage);
  const conversation = await conversationWith(second, ann.name).getAttribute("data-conversation-id");
  const messages = await rest(baseUrl, token, "GET", `/api/conversations/${conversation}/messages?limit=3`);
  await rest(baseUrl, token, "DELETE", `/api/messages/${messages[1]._id}`);
  await rest(baseUrl, token, "PUT", `/api/messages/${messages[0]._id}`, { content: "One, edited" });
  for (const tab of tabs) await reads(badge(tab, ann.name), "2");
  check(true, "a deleted message does not count any more, an edited one still does, in both tabs");
  await conversationWith(bobPage, ann.name).click();
  await badge(second, ann.name).waitFor({ state: "detached" });
  check((await second.title()) === "LinkUp", "reading in one tab takes the badge off the other one");
  await second.reload();
  await conversationWith(second, ann.name).waitFor();
  check((await badge(second, ann.name).count()) === 0, "and the server knows it too");
  await second.context().close();
}

async function outOfSight(annPage, bobPage, ann, bob) {
  const conversation = await conversationWith(bobPage, ann.name).getAttribute("data-conversation-id");
  const token = await tokenOf(annPage);
  const write = (content) => rest(baseUrl, token, "POST", `/api/conversations/${conversation}/messages`, { content });
  for (let line = 1; line <= 30; line += 1) await write(`Line ${line}`);
  await messageWith(bobPage, "Line 30").waitFor();
  await badge(bobPage, ann.name).waitFor({ state: "detached" });
  await bobPage.locator("#scroll").evaluate((scroll) => (scroll.scrollTop = 0));
  await testId(bobPage, "message").first().waitFor();
  await write("Far below");
  await reads(badge(bobPage, ann.name), "1");
  await reads(messageWith(annPage, "Line 30").getByTestId("receipt"), "Read");
  check((await messageWith(annPage, "Far below").getByTestId("receipt").count()) === 0, "what is below the screen is not read");
  await bobPage.locator("#latest").click();
  await badge(bobPage, ann.name).waitFor({ state: "detached" });
  await reads(messageWith(annPage, "Far below").getByTestId("receipt"), "Read");
  check(true, "until one goes there");
}

async function crowd(annPage, bobPage, bob) {
  const members = [];
  for (let number = 1; number <= 34; number += 1) {
    members.push(await rest(baseUrl, null, "POST", "/api/auth/register", person(`Member${number}`)));
  }
  const token = await tokenOf(annPage);
  const me = JSON.parse(await bobPage.evaluate(() => sessionStorage.getItem("linkup.session"))).user._id;
  // Bob comes last, where lists do not show him any more.
  const participants = [...members.map((member) => member.user._id), me];
  const { _id: id } = await rest(baseUrl, token, "POST", "/api/conversations", { name: "Everybody", participants });
  for (const page of [annPage, bobPage]) {
    await conversationWith(page, "Everybody").waitFor();
    await page.reload();
    await conversationWith(page, "Everybody").click();
  }
  await say(annPage, "Is anybody here?");
  const receipt = messageWith(annPage, "Is anybody here?").getByTestId("receipt");
  await sees(bobPage, "Bob", "Is anybody here?");
  await reads(receipt, "Read by 1");
  const messages = await rest(baseUrl, token, "GET", `/api/conversations/${id}/messages`);
  for (const { token } of members.slice(0, 4)) await rest(baseUrl, token, "PUT", `/api/messages/${messages[0]._id}/read`);
  await reads(receipt, "Read by 5");
  check(true, "in a large group readers are counted");
  await testId(bobPage, "composer").pressSequentially("Yes");
  await reads(testId(annPage, "typing"), `${bob.name} is typing…`);
  check(true, "and whoever types is named, also one whom lists do not show");
}

async function group(browser, annPage, bobPage, ann, bob) {
  const cem = person("Cem");
  const cemPage = await openPage(browser, baseUrl);
  await register(cemPage, cem);
  await testId(annPage, "new-group").click();
  await testId(annPage, "group-name").fill("Hikers");
  for (const user of [bob, cem]) {
    await testId(annPage, "group-search").fill(user.name);
    await testId(annPage, "group-candidate").filter({ hasText: user.name }).click();
  }
  await testId(annPage, "group-submit").click();
  await reads(testId(annPage, "conversation-title"), "Hikers");
  await say(annPage, "Where to on Sunday?");
  const receipt = messageWith(annPage, "Where to on Sunday?").getByTestId("receipt");
  await conversationWith(bobPage, "Hikers").click();
  await reads(receipt, `Read by ${bob.name}`);
  check(!(await receipt.innerText()).includes(cem.name), "in a small group those who have read are named");
  await conversationWith(cemPage, "Hikers").click();
  await reads(receipt, cem.name);
  await reads(receipt, bob.name);
  await Promise.all([testId(bobPage, "composer").pressSequentially("To the"), testId(cemPage, "composer").pressSequentially("Up")]);
  await reads(testId(annPage, "typing"), " are typing…");
  const line = await testId(annPage, "typing").innerText();
  check([bob, cem].every((user) => line.includes(user.name)), "several who type are named together");
  await picture(annPage, "group");
  await testId(annPage, "group-info").click();
  await testId(annPage, "group-member").filter({ hasText: cem.name }).locator('[data-status="online"]').waitFor();
  check(true, "the members of a group show who is there");
  await testId(annPage, "group-close").click();
  await cemPage.context().close();
}

async function goodbye(annPage, bobPage, bob) {
  await conversationWith(annPage, bob.name).filter({ has: testId(annPage, "presence") }).click();
  await bobPage.context().close();
  await subtitle(annPage).filter({ hasText: "Last seen today at" }).waitFor({ timeout: GRACE_MS });
  await dot(annPage, bob.name, "offline").waitFor();
  check(true, "once Bob is gone, Ann sees when he was last there");
}

run(240_000, async (browser) => {
  const [ann, bob] = [person("Ann"), person("Bob")];
  const [annPage, bobPage] = [await openPage(browser, baseUrl), await openPage(browser, baseUrl)];
  await register(annPage, ann);
  await register(bobPage, bob);
  await find(annPage, bob);
  await say(annPage, "Hello Bob!");
  await conversationWith(bobPage, ann.name).click();
  await sees(bobPage, "Bob", "Hello Bob!");
  await presence(annPage, bobPage, bob);
  await typing(annPage, bobPage, bob);
  await receipts(annPage, bobPage, bob);
  await changes(annPage, bobPage);
  await picture(annPage, "live");
  await badges(browser, annPage, bobPage, ann, bob);
  await outOfSight(annPage, bobPage, ann, bob);
  await crowd(annPage, bobPage, bob);
  await group(browser, annPage, bobPage, ann, bob);
  await goodbye(annPage, bobPage, bob);
});
