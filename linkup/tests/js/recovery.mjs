// The stock Socket.IO client with its default options: polling, upgrade, recovery, and a token that expires.
//
//   node recovery.mjs BASE_URL SECRET
//
// SECRET signs tokens that expire soon. Ends with status 0 if everything was as it should be, and with 1 and the reason
// otherwise.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { io } from "socket.io-client";

const OVERALL_MS = 80_000;
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

function tokenFor(user, seconds) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ userId: user.id, generation: 0, iat: now, exp: now + seconds })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** A socket that remembers what arrives, as the specification's hook makes it. */
function open(auth) {
  const socket = io(base, { auth, forceNew: true });
  socket.arrived = [];
  socket.transports = [];
  socket.on("message:new", (message) => socket.arrived.push(message.content));
  socket.io.engine.on("upgrade", (transport) => socket.transports.push(transport.name));
  socket.transports.push(socket.io.engine.transport.name);
  return socket;
}

async function until(what, holds) {
  const deadline = Date.now() + 20_000;
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

async function upgrades(bob) {
  const socket = open({ token: bob.token });
  await once(socket, "connect");
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
  await once(socket, "connect");
  const answer = await socket.timeout(20_000).emitWithAck("message:send", {
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

/** Cuts the connection, as a network does that goes away. */
async function cut(socket) {
  const gone = once(socket, "disconnect");
  socket.io.engine.close();
  await gone;
}

async function recovers(socket, ann, conversation) {
  const before = socket.arrived.length;
  for (const round of [1, 2, 3]) {
    // The first time there was no event yet from which to go on.
    const back = once(socket, "connect");
    await cut(socket);
    await say(ann, conversation, `missed ${round}`);
    await back;
    assert.equal(socket.recovered, true, `round ${round}`);
    await until("the missed message arrives", () => socket.arrived.length >= before + 2 * round - 1);
    await say(ann, conversation, `live ${round}`);
    await until("the next message arrives", () => socket.arrived.length >= before + 2 * round);
  }
  const expected = [1, 2, 3].flatMap((round) => [`missed ${round}`, `live ${round}`]);
  assert.deepEqual(socket.arrived.slice(before), expected);
  ok("after each cut it has what it missed, once and in order, and is told that it is recovered");
}

async function startsAfresh(bob) {
  const socket = open({ token: bob.token });
  await once(socket, "connect");
  const back = once(socket, "connect");
  // As a client that comes back with something that no server of ours ever gave.
  socket._pid = "made.up.pid";
  await cut(socket);
  await back;
  assert.equal(socket.recovered, false);
  socket.close();
  ok("with a pid that is not good the client starts afresh, and is told so");
}

async function expires(bob) {
  const socket = open((give) => give({ token: tokenFor(bob.user, 2) }));
  await once(socket, "connect");
  const [reason] = await once(socket, "disconnect");
  assert.equal(reason, "transport close");
  await once(socket, "connect");
  assert.equal(socket.recovered, true);
  ok("when its token expires the client is cut off, and comes back by itself with a newer one");

  const answer = await socket.timeout(20_000).emitWithAck("user:connect", { token: tokenFor(bob.user, 600) });
  assert.equal(answer.ok, true);
  let cutOff = false;
  socket.once("disconnect", () => (cutOff = true));
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  assert.equal(cutOff, false, "the newer token counts");
  socket.close();
  ok("a token that is replaced in time does not end the connection");

  const stale = open({ token: tokenFor(bob.user, 2) });
  await once(stale, "connect");
  const [error] = await once(stale, "connect_error");
  assert.equal(error.message, "Authentication error");
  assert.equal(stale.active, false, "the client must not try again");
  ok("a client without a newer token is refused for good");
}

async function main() {
  const [ann, bob] = await Promise.all([register("Ann"), register("Bob")]);
  const conversation = await rest("POST", "/api/conversations", ann.token, { participants: [bob.user.id] });
  const socket = await upgrades(bob);
  await recovers(socket, ann, conversation);
  socket.close();
  await pollingOnly(ann, bob, conversation);
  await startsAfresh(bob);
  await expires(bob);
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
