// The stock Socket.IO client with its default options: polling, upgrade, recovery, and a token that expires.
//
//   node recovery.mjs BASE_URL SECRET
//
// SECRET signs tokens that expire soon. Ends with status 0 if everything was as it should be, and with 1 and the reason
// otherwise.

import assert from "node:assert/strict";
import { once } from "node:events";
import { io } from "socket.io-client";
import { Relay } from "./relay.mjs";
import { tokenFor } from "./token.mjs";

const STEP_MS = 20_000;
const OVERALL_MS = 110_000;
/** How long a token that expires is good, in seconds: for all that a busy machine does meanwhile. */
const SHORT_S = 8;
const [base, secret] = process.argv.slice(2);

async function rest(method, path, token, body) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(response.ok, `${method} ${path}: ${response.status}`);
  return response.json();
}

async function register(name) {
  const email = `${name}-${crypto.randomUUID()}@example.org`.toLowerCase();
  return rest("POST", "/api/auth/register", null, { name, email, password: "correct horse" });
}

/** A socket that remembers what arrives, as the specification's hook makes it. */
function open(auth, url = base) {
  const socket = io(url, { auth, forceNew: true });
  socket.arrived = [];
  socket.transports = [];
  socket.on("message:new", (message) => socket.arrived.push(message.content));
  socket.io.engine.on("upgrade", (transport) => socket.transports.push(transport.name));
  socket.transports.push(socket.io.engine.transport.name);
  return socket;
}

/** Waits until the socket connects. Fails with the reason if it is refused, or if that takes too long. */
function connected(socket) {
  return new Promise((resolve, reject) => {
    let last = "nothing was said";
    const late = setTimeout(() => reject(new Error(`not connected: ${last}`)), STEP_MS);
    socket.once("connect", () => {
      clearTimeout(late);
      resolve();
    });
    socket.on("connect_error", (error) => {
      last = error.message;
      // A client that is refused stops trying; after an accident it goes on.
      if (!socket.active) reject(error);
    });
  });
}

async function until(what, holds) {
  const deadline = Date.now() + STEP_MS;
  while (!holds()) {
    assert.ok(Date.now() < deadline, `did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function ok(what) {
  console.log(`ok: ${what}`);
}

const say = (person, conversation, content) =>
  rest("POST", `/api/conversations/${conversation.id}/messages`, person.token, { content });

async function upgrades(bob, relay) {
  const socket = open({ token: bob.token }, relay.base);
  await connected(socket);
  assert.equal(socket.recovered, false);
  await until("the upgrade", () => socket.transports.length === 2);
  assert.deepEqual(socket.transports, ["polling", "websocket"]);
  ok("with default options the client begins by polling and goes on over a WebSocket");
  return socket;
}

async function pollingOnly(ann, bob, conversation) {
  const socket = io(base, { auth: { token: bob.token }, forceNew: true, transports: ["polling"] });
  const arrived = [];
  socket.on("message:new", (message) => arrived.push(message.content));
  await connected(socket);
  const answer = await socket.timeout(STEP_MS).emitWithAck("message:send", {
    conversationId: conversation.id,
    content: "polled",
  });
  assert.equal(answer.ok, true);
  await say(ann, conversation, "to the poller");
  await until("both messages arrive", () => arrived.length >= 2);
  assert.deepEqual(arrived, ["polled", "to the poller"]);
  socket.close();
  ok("where no WebSocket is possible, polling does all of it");
}

/** Has the connection end; `mend` lets the client come back. */
async function cut(socket, relay, how) {
  const gone = once(socket, "disconnect");
  if (how === "in order") socket.io.engine.close();
  else relay.cut();
  await gone;
}

async function recovers(socket, relay, ann, conversation) {
  const before = socket.arrived.length;
  // The first time there was no event yet from which to go on.
  for (const [index, how] of ["without a word", "in order", "without a word"].entries()) {
    const round = index + 1;
    await cut(socket, relay, how);
    const back = connected(socket);
    await say(ann, conversation, `missed ${round}`);
    relay.mend();
    await back;
    assert.equal(socket.recovered, true, `round ${round}, ${how}`);
    await until("the missed message arrives", () => socket.arrived.length >= before + 2 * round - 1);
    await say(ann, conversation, `live ${round}`);
    await until("the next message arrives", () => socket.arrived.length >= before + 2 * round);
  }
  const expected = [1, 2, 3].flatMap((round) => [`missed ${round}`, `live ${round}`]);
  assert.deepEqual(socket.arrived.slice(before), expected);
  ok("after each cut it has what it missed, once and in order, and is told that it is recovered");
}

async function startsAfresh(bob, relay) {
  const socket = open({ token: bob.token }, relay.base);
  await connected(socket);
  // As a client that comes back with something that no server of ours ever gave.
  socket._pid = "made.up.pid";
  await cut(socket, relay, "without a word");
  const back = connected(socket);
  relay.mend();
  await back;
  assert.equal(socket.recovered, false);
  socket.close();
  ok("with a pid that is not good the client starts afresh, and is told so");
}

/** Three clients with one token that expires: one has a newer one by then, one renews it in time, one does neither. */
async function expires(ann, bob, conversation) {
  const token = tokenFor(secret, bob.user, SHORT_S);
  const newer = tokenFor(secret, bob.user, 600);
  let first = true;
  const reopened = open((give) => give({ token: first ? token : newer }));
  const [renewed, stale] = [open({ token }), open({ token })];
  await Promise.all([reopened, renewed, stale].map(connected));
  first = false;
  const reasons = [];
  renewed.on("disconnect", (reason) => reasons.push(reason));
  const ended = once(reopened, "disconnect");
  const back = ended.then(() => connected(reopened));
  const refused = Promise.all([once(stale, "disconnect"), once(stale, "connect_error")]);

  const answer = await renewed.timeout(STEP_MS).emitWithAck("user:connect", { token: newer });
  assert.deepEqual(answer, { ok: true });
  const [reason] = await ended;
  assert.equal(reason, "transport close");
  await back;
  assert.equal(reopened.recovered, true);
  ok("when its token expires the client is cut off, and comes back by itself with a newer one");

  const [, [error]] = await refused;
  assert.equal(error.message, "Authentication error");
  assert.equal(stale.active, false, "the client must not try again");
  ok("a client without a newer token is refused for good");

  // Both others had the same token, and its time is up.
  await say(ann, conversation, "still there?");
  await until("the message arrives", () => renewed.arrived.includes("still there?"));
  assert.deepEqual(reasons, []);
  renewed.close();
  reopened.close();
  ok("a token that is replaced in time does not end the connection");
}

async function main() {
  const [ann, bob] = await Promise.all([register("Ann"), register("Bob")]);
  const conversation = await rest("POST", "/api/conversations", ann.token, { participants: [bob.user.id] });
  const relay = await Relay.start(base);
  const socket = await upgrades(bob, relay);
  await recovers(socket, relay, ann, conversation);
  socket.close();
  await pollingOnly(ann, bob, conversation);
  await startsAfresh(bob, relay);
  await expires(ann, bob, conversation);
}

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
    console.error("FAILED:", error);
    process.exit(1);
  },
);
