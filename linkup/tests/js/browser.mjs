// Two people in two real browsers use the page of a running LinkUp, as a stranger would.
//
//   node browser.mjs BASE_URL [SCREENSHOT_DIR]
//
// In the end the gateway has to be restarted: the script prints a line that asks for it. CHROMIUM_PATH names the
// browser (default /usr/bin/chromium). Prints a line for each thing that it has seen to be
// true; ends with status 0 if all of it is, and with 1 and the reason otherwise, within three minutes.

import { mkdir } from "node:fs/promises";
import path from "node:path";
import { LAPTOP, PHONE, check, conversationWith, find, messageWith, online, openPage, outage } from "./page.mjs";
import { person, register, run, say, sees, seqs, signIn, testId } from "./page.mjs";

const [baseUrl, screenshotDir] = process.argv.slice(2);
if (!baseUrl) {
  console.error("usage: node browser.mjs BASE_URL [SCREENSHOT_DIR]");
  process.exit(2);
}

async function unreadOf(page, name) {
  return Number.parseInt(await conversationWith(page, name).getByTestId("unread-badge").innerText(), 10);
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
  const annPage = await openPage(browser, baseUrl, LAPTOP);
  const bobPage = await openPage(browser, baseUrl, LAPTOP);
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
  await testId(bobPage, "unread-badge").waitFor({ state: "detached" });
  check(true, "after a reload Bob is still signed in and nothing is unread");
  return { annPage, bobPage };
}

async function onAPhone(browser, annPage, ann, bob) {
  const phone = await openPage(browser, baseUrl, PHONE, { isMobile: true, hasTouch: true, deviceScaleFactor: 2 });
  await signIn(phone, bob, "on a phone");
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
  outage.now = true;
  console.log("restart the gateway");
  for (const page of pages) {
    while (!(await page.evaluate(() => globalThis.lost))) await page.waitForTimeout(50);
    await online(page);
  }
  outage.now = false;
  check(true, "both pages notice the restart and come back by themselves");
  await say(bobPage, "Are you back?");
  await sees(annPage, "Ann", "Are you back?");
  await say(annPage, "Yes.");
  await sees(bobPage, "Bob", "Yes.");
  for (const [name, page] of [["Ann", annPage], ["Bob", bobPage]]) {
    check((await seqs(page)).join() === "1,2,3,4,5,6,7,8", `${name} has the messages 1 to 8 in order`);
  }
}

run(180_000, async (browser) => {
  const ann = person("Ann");
  const bob = person("Bob");
  const { annPage, bobPage } = await onLaptops(browser, ann, bob);
  await onAPhone(browser, annPage, ann, bob);
  await throughARestart(annPage, bobPage);
});
