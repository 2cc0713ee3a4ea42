// A frontend of another origin in a real browser: the stock Socket.IO client with its default options, and a plain
// WebSocket.
//
//   node browser-clients.mjs BASE_URL SECRET
//
// SECRET signs tokens that expire soon. The frontend is at http://localhost:3000, which the gateway has to allow. Ends
// with status 0 if everything was as it should be, and with 1 and the reason otherwise.

import { readFile } from "node:fs/promises";
import { check, outage, person, rest, run, until, watch } from "./page.mjs";
import { Relay } from "./relay.mjs";
import { tokenFor } from "./token.mjs";

const [baseUrl, secret] = process.argv.slice(2);
const FRONTEND = "http://localhost:3000";
/** How long a token that expires is good, in seconds: for all that a busy machine does meanwhile. */
const SHORT_S = 12;

/**
 * What the frontend's pages hold: the client, the hook of its specification without React around it, and a WebSocket without a
 * library. With a newer token, the hook comes back with that one.
 */
const SCRIPT = `
  globalThis.useSocket = (url, token, newer) => {
    const state = { isConnected: false, connects: [], reasons: [], refusals: [], transports: [], upgrades: [], events: [] };
    const fresh = (give) => give({ token: state.connects.length > 0 ? newer : token });
    const socket = io(url, { auth: newer ? fresh : { token } });
    const engine = () => {
      state.transports.push(socket.io.engine.transport.name);
      socket.io.engine.on("upgrade", (transport) => state.upgrades.push(transport.name));
    };
    engine();
    socket.io.on("reconnect_attempt", () => queueMicrotask(engine));
    socket.on("connect", () => {
      state.isConnected = true;
      state.connects.push(socket.recovered);
    });
    socket.on("disconnect", (reason) => {
      state.isConnected = false;
      state.reasons.push(reason);
    });
    socket.on("connect_error", (error) => state.refusals.push(error.message));
    socket.onAny((name, payload) => state.events.push([name, payload]));
    return {
      state,
      socket,
      sendMessage: (conversationId, content) => socket.emit("message:send", { conversationId, content }),
      markAsRead: (messageId, conversationId) => socket.emit("message:read", { messageId, conversationId }),
      typingIndicator: (conversationId, isTyping) => socket.emit("conversation:typing", { conversationId, isTyping }),
    };
  };
  globalThis.openPlain = (url, first) => {
    const plain = { frames: [], closed: null, socket: new WebSocket(url) };
    plain.socket.onopen = () => plain.socket.send(JSON.stringify(first));
    plain.socket.onmessage = (event) => plain.frames.push(JSON.parse(event.data));
    plain.socket.onclose = (event) => (plain.closed = event.code);
    globalThis.plain = plain;
  };
`;

async function frontend(browser, url) {
  const context = await browser.newContext();
  // A page that is played has no address, so to newer browsers it is not of this machine, and would have to ask the user before it
  // may call a server here. Older ones do not know the permission, and need none.
  await context.grantPermissions(["local-network-access"], { origin: FRONTEND }).catch(() => {});
  const client = await readFile(new URL("node_modules/socket.io-client/dist/socket.io.min.js", import.meta.url), "utf8");
  await context.route(`${FRONTEND}/**`, (route) => {
    const isScript = new URL(route.request().url()).pathname === "/client.js";
    const html = '<!doctype html><link rel="icon" href="data:,"><script src="/client.js"></script>';
    route.fulfill(isScript ? { contentType: "text/javascript", body: client + SCRIPT } : { contentType: "text/html", body: html });
  });
  const page = await context.newPage();
  watch(page, FRONTEND, url);
  await page.goto(FRONTEND);
  return page;
}

const state = (page) => page.evaluate(() => globalThis.hook.state);

/** Events of one name that have arrived. */
async function arrived(page, name) {
  const { events } = await state(page);
  return events.filter(([event]) => event === name).map(([, payload]) => payload);
}

async function connects(page, url, token) {
  await page.evaluate(([url, token]) => (globalThis.hook = useSocket(url, token)), [url, token]);
  await until("it connects", async () => (await state(page)).isConnected);
  await until("it upgrades", async () => (await state(page)).upgrades.length > 0);
  const { transports, upgrades, connects } = await state(page);
  check(transports.join() === "polling", "the stock client begins by polling");
  check(upgrades.join() === "websocket", "and goes on over a WebSocket");
  check(connects.join() === "false", "its first connection is not recovered");
  check(await page.evaluate(() => hook.socket.io.engine.transport.name === "websocket"), "which it stays on");
}

async function talks(annPage, bobPage, ann, conversation) {
  const send = (content) =>
    annPage.evaluate(
      ([conversationId, content]) => hook.socket.timeout(20_000).emitWithAck("message:send", { conversationId, content }),
      [conversation, content],
    );
  const answer = await send("with an acknowledgement");
  check(answer.ok && answer.message.seq === 1, "a message is acknowledged");
  await annPage.evaluate((conversation) => hook.sendMessage(conversation, "without"), conversation);
  for (const page of [annPage, bobPage]) {
    await until("both arrive", async () => (await arrived(page, "message:new")).length === 2);
    const seqs = (await arrived(page, "message:new")).map((message) => message.seq);
    check(seqs.join() === "1,2", "both messages arrive, once and in order");
  }
  await bobPage.evaluate((conversation) => hook.typingIndicator(conversation, true), conversation);
  await until("typing is told", async () => (await arrived(annPage, "conversation:typing")).some((typing) => typing.isTyping));
  const [message] = await arrived(bobPage, "message:new");
  await bobPage.evaluate(([id, conversation]) => hook.markAsRead(id, conversation), [message._id, conversation]);
  await until("reading is told", async () => (await arrived(annPage, "message:read")).some((read) => read.messageId === message._id));
  check((await arrived(annPage, "error")).length === 0, "typing and reading reach the other one");
  const failed = await send("");
  check(!failed.ok && failed.error.code === "bad_request", "a message that is none is refused, with the reason");
  check((await arrived(annPage, "message:new"))[0].sender._id === ann.user._id, "who wrote it stands beside it");
}

async function recovers(relay, annPage, bobPage, bob, conversation) {
  const before = (await arrived(annPage, "message:new")).length;
  outage.now = true;
  relay.cut();
  await until("the cut is noticed", async () => !(await state(annPage)).isConnected);
  for (const content of ["meanwhile", "and on"]) {
    await rest(baseUrl, bob.token, "POST", `/api/conversations/${conversation}/messages`, { content });
  }
  relay.mend();
  await until("it comes back", async () => (await state(annPage)).isConnected);
  outage.now = false;
  await until("what was missed arrives", async () => (await arrived(annPage, "message:new")).length >= before + 2);
  const { connects, reasons, refusals } = await state(annPage);
  check(connects.join() === "false,true", "after a cut socket.recovered is true");
  check(reasons.every((reason) => reason.startsWith("transport")), `and it was an accident to the client: ${reasons}`);
  check(refusals.every((message) => !message.includes("Authentication")), "nobody was refused");
  const seqs = (await arrived(annPage, "message:new")).map((message) => message.seq);
  check(seqs.join() === seqs.map((_, index) => index + 1).join(), "everything has arrived once and in order");
  await bobPage.evaluate((conversation) => hook.sendMessage(conversation, "live again"), conversation);
  await until("it is live", async () => (await arrived(annPage, "message:new")).length === before + 3);
  check(true, "and it is live again");
}

async function isRefused(page, url) {
  for (const token of ["nonsense", undefined]) {
    await page.evaluate(([url, token]) => (globalThis.hook = useSocket(url, token)), [url, token]);
    await until("it is refused", async () => (await state(page)).refusals.length > 0);
    check((await state(page)).refusals.join() === "Authentication error", "a bad token is a connect_error, in the specification's words");
    check(!(await page.evaluate(() => hook.socket.active)), "after which the client stops");
    await page.evaluate(() => hook.socket.disconnect());
  }
}

const plainUrl = (url) => `${url.replace("http", "ws")}/ws`;
const closed = (page) => page.evaluate(() => plain.closed);
const frames = (page) => page.evaluate(() => plain.frames);
const firstFrame = async (page, name) => (await frames(page)).find(([event]) => event === name);

async function withoutALibrary(page, relay, ann, bob, conversation) {
  const url = plainUrl(relay.base);
  const first = (name) => firstFrame(page, name);
  await page.evaluate(([url, token]) => openPlain(url, ["user:connect", { token }]), [url, ann.token]);
  await until("a plain WebSocket connects", async () => first("connect"));
  const [, { pid, recovered }] = await first("connect");
  check(typeof pid === "string" && recovered === false, "a plain WebSocket connects and gets its pid");
  const said = { conversationId: conversation, content: "plain" };
  await page.evaluate((said) => plain.socket.send(JSON.stringify(["message:send", said, 7])), said);
  await until("it is acknowledged", async () => first("ack"));
  const [, answer, number] = await first("ack");
  check(answer.ok && number === 7, "it sends with an acknowledgement");
  await until("it arrives", async () => first("message:new"));
  const [, message, offset] = await first("message:new");
  check(message._id === answer.message._id && typeof offset === "string", "it receives, with the offset");
  relay.cut();
  await until("it is cut", async () => (await closed(page)) !== null);
  await rest(baseUrl, bob.token, "POST", `/api/conversations/${conversation}/messages`, { content: "missed" });
  relay.mend();
  await page.evaluate(([url, resume]) => openPlain(url, ["resume", resume]), [url, { token: ann.token, pid, offset }]);
  await until("it is back", async () => first("message:new"));
  check((await first("connect"))[1].recovered === true, "it comes back with resume, and is recovered");
  const missed = (await frames(page)).filter(([name]) => name === "message:new").map(([, { content }]) => content);
  check(missed.join() === "missed", "and gets what it missed and nothing else");
  await page.evaluate(([url]) => openPlain(url, ["user:connect", { token: "nonsense" }]), [url]);
  await until("it is refused", async () => (await closed(page)) === 4401);
  check((await first("connect_error"))[1].message === "Authentication error", "a bad token is told, and closed with 4401");
}

/** Both clients on two pages, with one token that expires; those of the second page replace it in time. */
async function expires(browser, ann, bob, conversation) {
  const pages = [await frontend(browser, baseUrl), await frontend(browser, baseUrl)];
  const [token, newer] = [SHORT_S, 600].map((seconds) => tokenFor(secret, ann.user, seconds));
  for (const page of pages) {
    await page.evaluate((all) => (globalThis.hook = useSocket(...all)), [baseUrl, token, newer]);
    await page.evaluate((all) => openPlain(...all), [plainUrl(baseUrl), ["user:connect", { token }]]);
    await until("the stock client connects", async () => (await state(page)).isConnected);
    await until("the plain WebSocket connects", () => firstFrame(page, "connect"));
  }
  const [lost, kept] = pages;
  const answer = await kept.evaluate((token) => hook.socket.timeout(20_000).emitWithAck("user:connect", { token }), newer);
  check(answer.ok, "the stock client replaces its token");
  await kept.evaluate((token) => plain.socket.send(JSON.stringify(["user:connect", { token }, 1])), newer);
  await until("it is acknowledged", () => firstFrame(kept, "ack"));
  check((await firstFrame(kept, "ack"))[1].ok, "and so does the plain WebSocket");

  await until("the plain WebSocket is closed", async () => (await closed(lost)) !== null);
  check((await closed(lost)) === 4401, "with its token a plain WebSocket ends, with 4401");
  await until("the stock client comes back", async () => (await state(lost)).connects.length === 2);
  const { reasons, connects, refusals } = await state(lost);
  check(reasons.join() === "transport close", "with its token the stock client is cut off");
  check(connects.join() === "false,true" && refusals.length === 0, "and with a newer one it comes back, recovered");

  // All had the same token, and its time is up.
  await rest(baseUrl, bob.token, "POST", `/api/conversations/${conversation}/messages`, { content: "still there?" });
  const isIt = ({ content }) => content === "still there?";
  for (const page of pages) await until("it arrives", async () => (await arrived(page, "message:new")).some(isIt));
  await until("it arrives without a library", async () => (await frames(kept)).some(([, payload]) => isIt(payload)));
  const still = await state(kept);
  check(still.connects.join() === "false" && still.reasons.length === 0, "whoever replaced it stayed: the stock client");
  check((await closed(kept)) === null, "and the plain WebSocket");
}

run(200_000, async (browser) => {
  const relay = await Relay.start(baseUrl);
  const [ann, bob] = await Promise.all([person("Ann"), person("Bob")].map((user) => rest(baseUrl, null, "POST", "/api/auth/register", user)));
  const { _id: conversation } = await rest(baseUrl, ann.token, "POST", "/api/conversations", { participants: [bob.user._id] });
  const [annPage, bobPage] = [await frontend(browser, relay.base), await frontend(browser, baseUrl)];
  await connects(annPage, relay.base, ann.token);
  await connects(bobPage, baseUrl, bob.token);
  await talks(annPage, bobPage, ann, conversation);
  await recovers(relay, annPage, bobPage, bob, conversation);
  outage.now = true; // A closed WebSocket is an error to the console.
  await expires(browser, ann, bob, conversation);
  await isRefused(await frontend(browser, baseUrl), baseUrl);
  await withoutALibrary(annPage, relay, ann, bob, conversation);
});
