// The messages that were loaded: when which pages are asked for.

import { retryDelay } from "./sync.js";
import { Timeline } from "./timeline.js";

const PAGE = 50;
/** Further behind than this, a conversation starts over from its newest page instead of catching up. */
const MAX_CATCH_UP = 500;
/** Who catches up asks for so many known messages again: they may have been read, edited or deleted meanwhile. */
const OVERLAP = 25;
/** The clocks of servers differ. */
const SLACK_MS = 60_000;
/** A gap mostly closes by itself, when an acknowledgement has overtaken the event stream: wait a little. */
const GAP_PATIENCE_MS = 250;

export class History {
  /** By conversation; only of those that were opened. */
  timelines = new Map();

  #rest;
  #host;
  #busy = new Set();

  /**
   * @param rest an authenticated Rest
   * @param host `{lastSeq(id), isOpen(id), onPage(id, messages), onTrouble(error, retry)}`; `onPage` after messages have
   *   come into a timeline, `onTrouble` with what would try again
   */
  constructor(rest, host) {
    this.#rest = rest;
    this.#host = host;
  }

  /** Loads the newest page of a conversation, unless there is one. */
  async load(id) {
    if (this.timelines.has(id)) return;
    const timeline = new Timeline();
    this.timelines.set(id, timeline);
    try {
      const page = await this.#rest.messages(id, { limit: PAGE });
      if (this.timelines.get(id) !== timeline) return;
      timeline.start(page, PAGE);
      this.#host.onPage(id, page);
      this.fill(id);
    } catch (error) {
      if (this.timelines.get(id) === timeline) this.timelines.delete(id);
      this.#host.onTrouble(error, () => setTimeout(() => this.#host.isOpen(id) && this.load(id), retryDelay(error)));
    }
  }

  /** Loads the page of messages before the first one. */
  async loadOlder(id) {
    const timeline = this.timelines.get(id);
    const token = `older ${id}`;
    if (!timeline?.hasOlder || this.#busy.has(token)) return;
    this.#busy.add(token);
    try {
      const page = await this.#rest.messages(id, { before: timeline.messages[0].seq, limit: PAGE });
      timeline.prepend(page, PAGE);
      this.#host.onPage(id, page);
    } catch (error) {
      this.#host.onTrouble(error);
      // Every movement of the scroll bar asks again: not before the server may have recovered.
      await new Promise((resolve) => setTimeout(resolve, retryDelay(error)));
    } finally {
      this.#busy.delete(token);
    }
  }

  /**
   * After events may have been missed: brings the open conversation up to date, and forgets the others, which are loaded
   * anew when they are opened.
   */
  async catchUp() {
    const open = [...this.timelines.keys()].filter((id) => this.#host.isOpen(id));
    for (const id of this.timelines.keys()) {
      if (!open.includes(id)) this.timelines.delete(id);
    }
    await Promise.all(open.map((id) => this.#catchUpWith(id)));
  }

  async #catchUpWith(id) {
    const timeline = this.timelines.get(id);
    if (!timeline.loaded) return;
    if (this.#host.lastSeq(id) - timeline.top > MAX_CATCH_UP) {
      this.timelines.delete(id);
      await this.load(id);
      return;
    }
    const changedAt = timeline.changedAt;
    await this.#askAfter(id, Math.max(0, timeline.top - OVERLAP));
    if (changedAt) await this.#askChanged(id, timeline, changedAt);
  }

  /** Asks for what is missing at the end of a conversation, if anything is. */
  async fill(id) {
    const timeline = this.timelines.get(id);
    if (timeline?.loaded && timeline.top < this.#host.lastSeq(id)) await this.#askAfter(id, timeline.top);
  }

  /** The same, if it is still missing in a moment. */
  fillSoon(id) {
    setTimeout(() => this.timelines.get(id)?.hasGap && this.fill(id), GAP_PATIENCE_MS);
  }

  /** Asks for known messages again, for how many have read them. */
  async recount(id) {
    const timeline = this.timelines.get(id);
    if (timeline?.loaded) await this.#askAfter(id, Math.max(0, timeline.top - OVERLAP));
  }

  /** Asks for everything after `seq`, which is not after `top`, until there is no more. */
  async #askAfter(id, seq) {
    const timeline = this.timelines.get(id);
    if (this.#busy.has(id)) return;
    this.#busy.add(id);
    try {
      let page;
      let after = seq;
      do {
        page = await this.#rest.messages(id, { after, limit: PAGE });
        timeline.append(page);
        this.#host.onPage(id, page);
        after = Math.max(timeline.top, page.at(-1)?.seq ?? 0);
      } while (page.length === PAGE);
    } catch (error) {
      this.#host.onTrouble(error, () => setTimeout(() => this.fill(id), retryDelay(error)));
      return;
    } finally {
      this.#busy.delete(id);
    }
    if (timeline.hasGap) this.fillSoon(id); // More has come, out of order, while this went on.
  }

  /** Asks for what was edited or deleted of the older messages. */
  async #askChanged(id, timeline, changedAt) {
    let since = new Date(Date.parse(changedAt) - SLACK_MS).toISOString();
    try {
      for (;;) {
        const page = await this.#rest.messages(id, { updatedAfter: since, limit: PAGE });
        for (const message of page) timeline.change(message._id, message);
        this.#host.onPage(id, []);
        const last = page.at(-1)?.updatedAt;
        if (page.length < PAGE || last === since) return;
        since = last;
      }
    } catch (error) {
      this.#host.onTrouble(error, () => setTimeout(() => this.#askChanged(id, timeline, changedAt), retryDelay(error)));
    }
  }
}
