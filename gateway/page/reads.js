// Reading: how far others have come, and telling how far oneself has.

/** At most one mark of a conversation a second, however fast messages arrive. */
const INTERVAL_MS = 1_000;
/** After the server was too busy. */
const RETRY_MS = 3_000;
const BUSY = new Set(["unavailable", "too_many_requests", "internal"]);

/**
 * How far others have read, by conversation and user. Somebody has read every message after `from`, where they came
 * in, up to `seq`.
 */
export class Receipts {
  #cursors = new Map();

  /** From a page of messages, oldest first. Its `readBy` says it message by message; what somebody wrote themself says nothing. */
  absorb(conversationId, page) {
    const cursors = this.#of(conversationId);
    for (let index = page.length - 1; index >= 0; index -= 1) {
      const { seq, sender, readBy = [] } = page[index];
      const readers = new Set(readBy.map((entry) => entry.userId));
      for (const userId of readers) {
        if (userId !== sender._id) this.#raise(cursors, userId, seq);
      }
      for (const [userId, cursor] of cursors) {
        const skipped = seq < cursor.seq && userId !== sender._id && !readers.has(userId);
        // In a large conversation others are not named, and that says nothing about them.
        if (skipped && page[index].readCount === undefined) cursor.from = Math.max(cursor.from, seq);
      }
    }
  }

  /** A `message:read` event of somebody else. */
  apply({ conversationId, userId, seq }) {
    this.#raise(this.#of(conversationId), userId, seq);
  }

  /** Somebody came in after the message `seq`, and reads none of what was before. */
  joined(conversationId, userId, seq) {
    this.#of(conversationId).set(userId, { from: seq, seq });
  }

  /** Who has read a message, its author left out. */
  readers(conversationId, { seq, sender }) {
    const cursors = this.#cursors.get(conversationId) ?? [];
    const passed = [...cursors].filter(([, cursor]) => cursor.from < seq && seq <= cursor.seq);
    return passed.map(([userId]) => userId).filter((userId) => userId !== sender._id);
  }

  forget(conversationId) {
    this.#cursors.delete(conversationId);
  }

  #of(conversationId) {
    let cursors = this.#cursors.get(conversationId);
    if (!cursors) this.#cursors.set(conversationId, (cursors = new Map()));
    return cursors;
  }

  #raise(cursors, userId, seq) {
    const cursor = cursors.get(userId);
    if (!cursor) cursors.set(userId, { from: 0, seq });
    else cursor.seq = Math.max(cursor.seq, seq);
  }
}

/** Tells the server how far the user has read: of each conversation the newest message only. */
export class ReadMarks {
  #connection;
  /** By conversation, what the server has not confirmed: `{messageId, seq}`. */
  #waiting = new Map();
  /** By conversation, the last `seq` that is confirmed. */
  #confirmed = new Map();
  #running = false;

  constructor(connection) {
    this.#connection = connection;
  }

  mark(conversationId, { _id, seq }) {
    const known = this.#waiting.get(conversationId)?.seq ?? this.#confirmed.get(conversationId) ?? 0;
    if (seq <= known) return;
    this.#waiting.set(conversationId, { messageId: _id, seq });
    this.#run();
  }

  /** For a new connection: what the old one did not confirm. */
  resend() {
    this.#run();
  }

  forget(conversationId) {
    this.#waiting.delete(conversationId);
  }

  /** The page goes: what waits for its turn is told now, and nobody waits for an answer. */
  flush() {
    for (const [conversationId, { messageId }] of this.#waiting) {
      this.#connection.emit("message:read", { messageId, conversationId });
    }
    this.#waiting.clear();
  }

  async #run() {
    if (this.#running) return;
    this.#running = true;
    while (this.#waiting.size > 0 && this.#connection.state === "online") {
      const busy = await Promise.all([...this.#waiting].map(([id, mark]) => this.#send(id, mark)));
      await new Promise((resolve) => setTimeout(resolve, busy.includes(true) ? RETRY_MS : INTERVAL_MS));
    }
    this.#running = false;
  }

  /** Resolves with whether the server was too busy. */
  async #send(conversationId, mark) {
    const { messageId, seq } = mark;
    let answer;
    try {
      answer = await this.#connection.request("message:read", { messageId, conversationId });
    } catch {
      return false; // The next connection sends it again.
    }
    if (!answer.ok && BUSY.has(answer.error?.code)) return true;
    if (this.#waiting.get(conversationId) === mark) this.#waiting.delete(conversationId);
    this.#confirmed.set(conversationId, Math.max(seq, this.#confirmed.get(conversationId) ?? 0));
    return false;
  }
}
