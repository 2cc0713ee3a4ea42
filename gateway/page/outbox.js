// Own messages on their way: from the moment they are written until the server has stored them.
//
// Each carries a clientMessageId of its own, and keeps it however often it is sent: one that had arrived before
// the connection broke is answered with the stored message instead of being stored again.

import { ConnectionLost } from "./socket.js";

export class Outbox {
  /** `{clientMessageId, conversationId, content, state: "sending" | "failed", problem, createdAt, silences}` */
  entries = [];

  #connection;
  #onStored;
  #onChange;

  /** @param onStored called with each message that the server has acknowledged */
  constructor(connection, onStored, onChange) {
    this.#connection = connection;
    this.#onStored = onStored;
    this.#onChange = onChange;
  }

  of(conversationId) {
    return this.entries.filter((entry) => entry.conversationId === conversationId);
  }

  send(conversationId, content) {
    const entry = {
      clientMessageId: uniqueId(),
      conversationId,
      content,
      state: "sending",
      problem: null,
      createdAt: new Date().toISOString(),
      silences: 0,
    };
    this.entries.push(entry);
    this.#transmit(entry);
    this.#onChange();
  }

  /** Sends a failed message again. */
  retry(clientMessageId) {
    const entry = this.entries.find((candidate) => candidate.clientMessageId === clientMessageId);
    Object.assign(entry, { state: "sending", problem: null, silences: 0 });
    this.#transmit(entry);
    this.#onChange();
  }

  /** Sends again whatever has no answer yet: for a new connection. */
  resend() {
    for (const entry of this.entries) {
      if (entry.state === "sending") this.#transmit(entry);
    }
  }

  /** The message is stored, whether or not its acknowledgement came. */
  settle(clientMessageId) {
    this.entries = this.entries.filter((entry) => entry.clientMessageId !== clientMessageId);
  }

  /** Gives up the messages to a conversation that is gone. */
  discard(conversationId) {
    this.entries = this.entries.filter((entry) => entry.conversationId !== conversationId);
  }

  async #transmit(entry) {
    if (this.#connection.state !== "online") return; // It goes out with the next connection.
    const { conversationId, content, clientMessageId } = entry;
    try {
      const answer = await this.#connection.request("message:send", { conversationId, content, clientMessageId });
      if (answer.ok) this.#onStored(answer.message);
      else this.#fail(entry, problemOf(answer.error));
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      entry.silences += error.silent ? 1 : 0;
      if (entry.silences > 1) this.#fail(entry, "No answer from the server.");
    }
  }

  #fail(entry, problem) {
    Object.assign(entry, { state: "failed", problem });
    this.#onChange();
  }
}

function problemOf({ code, message }) {
  const busy = code === "too_many_requests" || code === "unavailable";
  return busy ? "LinkUp is busy right now. Please try again in a moment." : message;
}

/** `crypto.randomUUID` exists in secure contexts only: not on plain http to another host. */
function uniqueId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
