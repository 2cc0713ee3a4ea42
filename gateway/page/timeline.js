// The messages of one conversation, as far as this page has them.
//
// `seq` numbers a conversation's messages 1, 2, 3 … without a gap. So the page can tell by itself when it
// has missed something, and ask for exactly that.

/** More than this are not kept while the reader is at the end: a busy room would fill the page. */
const MOST = 400;
const KEPT = 200;

export class Timeline {
  /** In the order of `seq`, each `_id` once. */
  messages = [];
  /** Whether the newest page has been loaded; until then live messages are only collected. */
  loaded = false;
  /** Whether there may be more to load before the first message. */
  hasOlder = false;

  #ids = new Set();
  #top = 0;

  /** Every message up to this `seq` is here, or older than what was loaded. */
  get top() {
    return this.#top;
  }

  /** Whether a message is here whose predecessor is not. */
  get hasGap() {
    return this.loaded && (this.messages.at(-1)?.seq ?? 0) > this.#top;
  }

  /** When anything here was last written or changed; undefined if there is nothing. */
  get changedAt() {
    const times = this.messages.map((message) => message.updatedAt);
    return times.length > 0 ? times.reduce((a, b) => (a > b ? a : b)) : undefined;
  }

  /** The first page: the newest `limit` messages of the conversation. */
  start(page, limit) {
    page.forEach((message) => this.#insert(message));
    this.loaded = true;
    this.hasOlder = page.length === limit && page[0].seq > 1;
    this.#raiseTop(page.at(-1)?.seq ?? 0);
  }

  /** A page of at most `limit` messages from before the first one. */
  prepend(page, limit) {
    page.forEach((message) => this.#insert(message));
    this.hasOlder = page.length === limit && page[0].seq > 1;
  }

  /** What the server answered to "everything after" a `seq` of at most `top`: between these messages there is nothing else. */
  append(page) {
    page.forEach((message) => this.#insert(message));
    if (page.length > 0) this.#raiseTop(page.at(-1).seq);
  }

  /** One message, live or acknowledged, which may have overtaken others or be known already. */
  add(message) {
    this.#insert(message);
    this.#raiseTop(this.#top);
  }

  /** Changes a message that is here, unless it is known to be newer than the change. Returns the message as it is now, if it is here. */
  change(id, fields) {
    if (!this.#ids.has(id)) return undefined;
    const index = this.messages.findLastIndex((known) => known._id === id);
    this.messages[index] = newer(this.messages[index], { ...this.messages[index], ...fields });
    return this.messages[index];
  }

  /** The position of the first message after `seq`; looked for from the end, where it nearly always is. */
  indexAfter(seq) {
    let index = this.messages.length;
    while (index > 0 && this.messages[index - 1].seq > seq) index -= 1;
    return index;
  }

  /** Forgets the oldest if there are very many; they can be loaded again. */
  trim() {
    if (!this.loaded || this.messages.length <= MOST) return;
    const gone = this.messages.splice(0, this.messages.length - KEPT);
    for (const { _id } of gone) this.#ids.delete(_id);
    this.hasOlder = true;
  }

  #insert(message) {
    if (this.#ids.has(message._id)) {
      const index = this.messages.findLastIndex((known) => known._id === message._id);
      this.messages[index] = newer(this.messages[index], message);
    } else {
      this.#ids.add(message._id);
      this.messages.splice(this.indexAfter(message.seq), 0, message);
    }
  }

  /** Raises `top` to `seq`, and on over all that follow it without a gap. */
  #raiseTop(seq) {
    this.#top = Math.max(this.#top, seq);
    if (!this.loaded) return;
    for (let index = this.indexAfter(this.#top); this.messages[index]?.seq === this.#top + 1; index += 1) {
      this.#top += 1;
    }
  }
}

/** Of two copies of a message the one that says more: events and answers overtake each other. What is deleted stays deleted. */
export function newer(known, other) {
  const stale = known.isDeleted || (!other.isDeleted && other.updatedAt < known.updatedAt);
  const [kept, left] = stale ? [known, other] : [other, known];
  const readCount = Math.max(kept.readCount ?? 0, left.readCount ?? 0);
  return readCount > 0 ? { ...kept, readCount } : kept;
}
