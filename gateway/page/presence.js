// Who is there: others, as the server tells, and oneself, as the server is told.

/** Out of sight for this long, one is away. */
const AWAY_MS = 60_000;
/** An answer to "I am here" takes no longer, unless the connection is dead. */
const PROBE_MS = 5_000;

/** What is known of others. */
export class Presence {
  #known = new Map();

  /** `{status, lastSeen}` of a user; undefined where nothing is told. */
  of(userId) {
    return this.#known.get(userId);
  }

  /** From a list of users or participants. One without a status does not let it be known. */
  learn(users) {
    for (const { _id, status, lastSeen } of users) {
      const known = this.#known.get(_id);
      if (status === undefined) this.#known.delete(_id);
      else if (known?.status !== status || lastSeen) this.#known.set(_id, { status, lastSeen });
    }
  }

  /** Asks when the other one of a direct conversation was last there: events and profiles tell that, lists do not. */
  async ask(rest, { participants }, me) {
    const other = participants.find((user) => user._id !== me._id);
    const known = other && this.of(other._id);
    if (known?.status !== "offline" || known.lastSeen) return;
    try {
      const { _id, lastSeen } = await rest.user(other._id);
      if (this.of(_id) === known && lastSeen) this.#known.set(_id, { ...known, lastSeen });
    } catch {
      // A private profile: then it is not for us to know.
    }
  }

  /** A `user:status` event. */
  apply({ userId, status, lastSeen }) {
    this.#known.set(userId, { status, lastSeen });
  }
}

/** Tells the server when the user goes out of sight and comes back. */
export class Attendance {
  #connection;
  #timer;
  #away = false;

  /** @param signal ends it */
  constructor(connection, signal) {
    this.#connection = connection;
    document.addEventListener("visibilitychange", () => this.#onVisibility(), { signal });
    // Whether this reaches anybody is found out by asking: the server may be on this very machine.
    addEventListener("offline", () => this.#tell(), { signal });
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
    this.#onVisibility();
  }

  /** For a new connection, of which the server assumes that somebody sits before it. */
  connected() {
    if (this.#away) this.#tell();
  }

  #onVisibility() {
    clearTimeout(this.#timer);
    if (document.visibilityState === "hidden") {
      this.#timer = setTimeout(() => this.#become(true), AWAY_MS);
    } else {
      this.#become(false);
    }
  }

  #become(away) {
    if (this.#away === away) return;
    this.#away = away;
    this.#tell();
  }

  #tell() {
    const status = this.#away ? "away" : "online";
    // With an acknowledgement: a connection that died while the machine slept is found out at once.
    this.#connection.request("user:status", { status }, PROBE_MS).catch(() => {});
  }
}
