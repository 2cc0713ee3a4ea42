// The stock Socket.IO client talks to a running LinkUp.
//
//   node socketio.mjs BASE_URL TOKEN_OF_NOBODY
//
// TOKEN_OF_NOBODY is well signed, but its user does not exist. In the end the gateway has to be restarted: the script
// says when. Ends with status 0 if everything was as it should be, and with 1 and the reason otherwise.

import assert from "node:assert/strict";
import { once } from "node:events";
import { io } from "socket.io-client";

const OVERALL_MS = 60_000;
const ID = /^[0-9a-f]{24}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

const [base, tokenOfNobody] = process.argv.slice(2);

async function rest(path, token, body) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(base + path, { method: body ? "POST" : "GET", headers, body: JSON.stringify(body) });
  assert.ok(response.ok, `${path}: ${response.status}`);
  return response.json();
}

async function register(name) {
  const email = `${name}-${crypto.randomUUID()}@example.org`.toLowerCase();
  return rest("/api/auth/register", null, { name, email, password: "correct horse" });
}

/** A socket that remembers what arrives. */
function open(token) {
  const socket = io(base, { auth: { token }, forceNew: true });
  socket.arrived = [];
  socket.on("message:new", (...args) => socket.arrived.push(args));
  return socket;
}

async function connected(token) {
  const socket = open(token);
  await once(socket, "connect");
  return socket;
}

async function refusal(token) {
  const socket = open(token);
  const [error] = await Promise.race([once(socket, "connect_error"), once(socket, "connect").then(() => ["let in"])]);
  assert.equal(socket.active, false, "the client must not try again");
  socket.close();
  return error.message;
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

/** The message as the frontend's specification has it. */
function checkShape([message, clock, ...more], sender, conversation, content) {
  assert.match(message._id, ID);
  assert.equal(message.id, message._id);
  assert.equal(message.conversationId, conversation.id);
  const { _id, id, name, avatar } = sender.user;
  assert.deepEqual(message.sender, { _id, id, name, avatar });
  assert.equal(message.content, content);
  assert.equal(message.contentType, "text");
  assert.deepEqual(message.readBy, [{ userId: id, readAt: message.createdAt }]);
  assert.match(message.createdAt, TIME);
  assert.match(message.updatedAt, TIME);
  assert.equal(message.isDeleted, false);
  assert.equal(typeof clock, "string");
  assert.deepEqual(more, []);
}

async function refusals() {
  assert.equal(await refusal("not a token"), "Authentication error");
  assert.equal(await refusal(undefined), "Authentication error");
  assert.equal(await refusal(tokenOfNobody), "User not found");
  ok("bad tokens and unknown users are refused, in the specification's words and for good");
}

async function conversationOf(ann, bob) {
  return rest("/api/conversations", ann.token, { participants: [bob.user.id] });
}

async function sends(sockets, ann, conversation) {
  const [first] = sockets;
  first.emit("message:send", { conversationId: conversation.id, content: "without" });
  const answer = await first.timeout(20_000).emitWithAck("message:send", {
    conversationId: conversation.id,
    content: "with",
    contentType: "text",
  });
  assert.equal(answer.ok, true);
  assert.equal(answer.message.seq, 2);
  for (const socket of sockets) {
    await until("both messages arrive at every socket", () => socket.arrived.length >= 2);
    checkShape(socket.arrived[0], ann, conversation, "without");
    checkShape(socket.arrived[1], ann, conversation, "with");
    assert.deepEqual(socket.arrived[1][0], answer.message);
    assert.deepEqual(socket.arrived.map(([message]) => message.seq), [1, 2]);
  }
  ok("messages with and without an acknowledgement reach both users' sockets, the sending one too");
}

async function failures(socket, conversation) {
  const failed = once(socket, "error");
  socket.emit("message:send", { conversationId: conversation.id });
  assert.deepEqual(await failed, [{ message: "Failed to send message" }]);
  ok("a failed send without an acknowledgement is an error event");
  const ask = (payload) => socket.timeout(20_000).emitWithAck("message:send", payload);
  const invalid = await ask({ conversationId: conversation.id, content: 7 });
  assert.equal(invalid.ok, false);
  assert.equal(invalid.error.code, "bad_request");
  assert.match(invalid.error.message, /content/);
  const elsewhere = await ask({ conversationId: "0123456789abcdef01234567", content: "x" });
  assert.deepEqual([elsewhere.ok, elsewhere.error.code], [false, "not_found"]);
  ok("a failed send with an acknowledgement tells why");
}

async function restart(sockets, conversation) {
  const reasons = [];
  const back = sockets.map((socket) => {
    socket.once("disconnect", (reason) => reasons.push(reason));
    return once(socket, "connect");
  });
  console.log("restart the gateway");
  await Promise.all(back);
  assert.deepEqual(new Set(reasons), new Set(["transport close"]));
  const [first] = sockets;
  const before = first.arrived.length;
  const answer = await first.timeout(20_000).emitWithAck("message:send", {
    conversationId: conversation.id,
    content: "after",
  });
  assert.equal(answer.ok, true);
  for (const socket of sockets) {
    await until("a message after the restart arrives", () => socket.arrived.length > before);
    assert.deepEqual(socket.arrived.map(([message]) => message.seq), [1, 2, 3]);
  }
  ok("after a restart of the gateway all sockets come back by themselves, and nothing comes twice");
}

async function main() {
  const [ann, bob] = await Promise.all([register("Ann"), register("Bob")]);
  await refusals();
  const conversation = await conversationOf(ann, bob);
  const sockets = await Promise.all([ann, ann, bob, bob].map((person) => connected(person.token)));
  ok("two sockets of each user connect");
  await sends(sockets, ann, conversation);
  await failures(sockets[0], conversation);
  await restart(sockets, conversation);
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
