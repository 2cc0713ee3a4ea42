// Who is typing: others, as the server tells, and oneself, as the server is told.

/** Nobody types for longer than this without saying so again: a page that died cannot say that it stopped. */
const EXPIRY_MS = 30_000;
/** No key for this long is a stop. */
const PAUSE_MS = 2_000;
/** Whoever goes on typing says so again after this long. */
const REPEAT_MS = 8_000;

/** Others who are typing. */
export class Typists {
  #timers = new Map();
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
  }

  /** Who is typing in a conversation, the first one first. */
  in(conversationId) {
    return [...(this.#timers.get(conversationId)?.keys() ?? [])];
  }

  /** A `conversation:typing` event. */
  apply({ conversationId, userId, isTyping }) {
    if (!isTyping) {
      this.stopped(conversationId, userId);
      return;
    }
    const timers = this.#timers.get(conversationId) ?? new Map();
    this.#timers.set(conversationId, timers);
    clearTimeout(timers.get(userId));
    timers.set(userId, setTimeout(() => this.stopped(conversationId, userId), EXPIRY_MS));
    this.#onChange();
  }

  /** Somebody stopped, or has sent what they typed. */
  stopped(conversationId, userId) {
    const timers = this.#timers.get(conversationId);
    if (!timers?.has(userId)) return;
    clearTimeout(timers.get(userId));
    timers.delete(userId);
    this.#onChange();
  }

  /** Nobody any more: in one conversation, or anywhere. */
  clear(conversationId) {
    const ids = conversationId === undefined ? [...this.#timers.keys()] : [conversationId];
    for (const id of ids) {
      for (const timer of this.#timers.get(id)?.values() ?? []) clearTimeout(timer);
      this.#timers.delete(id);
    }
    this.#onChange();
  }
}

/** Tells others that the user is typing. */
export class TypingSignal {
  #connection;
  #conversationId = null;
  #saidAt = 0;
  #timer;

  constructor(connection) {
    this.#connection = connection;
  }

  /** A key was struck. */
  key(conversationId) {
    if (this.#conversationId !== conversationId) this.stop();
    if (this.#conversationId === null || Date.now() - this.#saidAt > REPEAT_MS) {
      this.#conversationId = conversationId;
      this.#saidAt = Date.now();
      this.#connection.emit("conversation:typing", { conversationId, isTyping: true });
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.stop(), PAUSE_MS);
  }

  /** Nothing more comes, or it was sent. */
  stop() {
    clearTimeout(this.#timer);
    if (this.#conversationId === null) return;
    const conversationId = this.#conversationId;
    this.#conversationId = null;
    this.#connection.emit("conversation:typing", { conversationId, isTyping: false });
  }
}
