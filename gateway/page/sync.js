// When the server is asked anew: for the whole list after events may have been missed, or for one conversation of which
// an event did not tell enough.

const RETRY_MS = 2_000;

export class Sync {
  /** How the last return of the connection went: `recovered`, `catching-up` or `caught-up`; null before there was one. */
  comeback = null;

  #host;
  #signal;
  #held = null;
  #again = false;
  #timer;
  /** Whether something was missed that has not been caught up with. */
  #stale = true;
  #begun = false;
  /** The conversations that are being asked for, and whether they must be asked for once more. */
  #asked = new Map();

  /**
   * @param host `{loadList(), apply(name, payload), finish(), ask(id), isOnline(), onNotice(text), onChange()}`; `finish`
   *   loads what is missing once the list is there; those that load return promises
   * @param signal ends it
   */
  constructor(host, signal) {
    this.#host = host;
    this.#signal = signal;
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
  }

  /** An event, which is applied now or once the list is there. */
  event(name, payload) {
    // While the list is on its way, events wait: then each is either in the list or comes after it, and
    // no unread message is counted twice or not at all.
    if (this.#held) this.#held.push([name, payload]);
    else this.#host.apply(name, payload);
  }

  /** The connection is up. With `recovered`, what was missed comes by itself. */
  online(recovered) {
    if (recovered && !this.#stale) {
      this.comeback = "recovered";
      this.#host.onChange();
      return;
    }
    if (this.#begun) this.comeback = "catching-up";
    this.#begun = true;
    this.#run();
  }

  /** Loads the list soon. */
  soon(delay = 0) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#run(), delay);
  }

  /** Asks for one conversation. */
  async one(id) {
    if (this.#asked.has(id)) {
      this.#asked.set(id, true);
      return;
    }
    this.#asked.set(id, false);
    let sure = true;
    try {
      sure = await this.#host.ask(id);
    } catch (error) {
      this.trouble(error, () => setTimeout(() => this.one(id), retryDelay(error)));
    }
    const again = this.#asked.get(id);
    this.#asked.delete(id);
    if (again || !sure) this.one(id);
  }

  /** A question failed: it is asked again if that can help; without a connection, the next one makes up for it. */
  trouble(error, retry) {
    if (this.#signal.aborted || error.status === 401) return;
    if (!this.#host.isOnline()) {
      this.#stale = true;
      return;
    }
    this.#host.onNotice(error.transient ? "LinkUp is busy right now. Trying again…" : error.explanation);
    if (error.transient) retry?.();
  }

  async #run() {
    clearTimeout(this.#timer);
    if (this.#held) {
      this.#again = true;
      return;
    }
    this.#held = [];
    this.#again = false;
    this.#stale = true;
    let loaded = false;
    try {
      await this.#host.loadList();
      loaded = true;
    } catch (error) {
      this.trouble(error, () => this.soon(retryDelay(error)));
    }
    if (this.#signal.aborted) return;
    const events = this.#held;
    this.#held = null;
    events.forEach(([name, payload]) => this.#host.apply(name, payload));
    if (this.#again) this.soon();
    else if (loaded) await this.#finish();
    this.#host.onChange();
  }

  async #finish() {
    this.#stale = false;
    await this.#host.finish();
    if (!this.#stale && this.comeback === "catching-up") this.comeback = "caught-up";
  }
}

/** How long to wait before asking again. */
export function retryDelay(error) {
  return error.retryAfter === null ? RETRY_MS : error.retryAfter * 1_000;
}
