// The live connection: the plain WebSocket at /ws, where every frame is a JSON array.
//
// It keeps itself up, and remembers where in the stream of events it stands. On its return it asks for what came
// meanwhile; whoever uses it learns whether that is on its way, or whether to catch up over REST. And each request
// gets an answer, or there will be none on this connection.

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 5_000;
/** The shortest wait after the server said that there are too many of us. */
const CROWDED_DELAY_MS = 10_000;
/** From the start of a connection attempt to the server's "connect". */
const HANDSHAKE_MS = 10_000;
/** A request without an answer for this long means that the connection is dead without knowing it. */
const ANSWER_MS = 15_000;
/** A connection that lived this long ends the back-off; one that falls at once must not. */
const STABLE_MS = 5_000;

const UNAUTHORIZED = 4401;
const CROWDED = 4429;
/** Coming back by itself would not help after these: README.md has the table. */
const FINAL = new Map([
  [1002, "The server did not understand this page. Please reload it."],
  [1003, "The server did not understand this page. Please reload it."],
  [1007, "The server did not understand this page. Please reload it."],
  [1009, "The server refused something that was too large."],
  [4409, "This session goes on in another connection."],
]);

/** The connection ended before the answer came: whether the server did it is unknown, so ask again. */
export class ConnectionLost extends Error {
  constructor(silent) {
    super("connection lost");
    /** Whether the server had all the time it could want. */
    this.silent = silent;
  }
}

export class Connection {
  /**
   * `connecting`, `online`, `reconnecting`, `offline` (as reconnecting, but the browser has no network), or `halted`:
   * the server does not want to see it again as it is.
   */
  state = "connecting";
  /** While it waits to try again: when it will, as `Date.now()` counts. */
  retryAt = null;
  /** Why it is halted. */
  problem = "";

  #token;
  #handlers;
  #socket = null;
  #failures = 0;
  #reconnectTimer;
  #phaseTimer;
  #requests = new Map();
  #lastRequest = 0;
  #stopped = new AbortController();
  /** What the server wants to be shown by a client that comes back, and the clock of the last event. */
  #pid;
  #offset;

  /**
   * @param token of the session
   * @param handlers `{onState(), onOnline(recovered), onEvent(name, payload), onRefused(message, ended)}`; `recovered`
   *   tells that all events of the meantime follow, `ended` that the session was good once
   */
  constructor(token, handlers) {
    this.#token = token;
    this.#handlers = handlers;
    const { signal } = this.#stopped;
    // After a change of network an open socket is most likely dead, and nothing would tell for minutes.
    addEventListener("online", () => this.state !== "halted" && this.reconnect(), { signal });
    addEventListener("offline", () => this.#showState(), { signal });
    this.#open();
  }

  /** Ends the connection for good. */
  stop() {
    this.#stopped.abort();
    clearTimeout(this.#reconnectTimer);
    this.#drop(false);
  }

  /** Tries again now if a retry is due later: for when the user comes back to the page. */
  hurry() {
    if (this.retryAt !== null) this.reconnect();
  }

  /** Begins anew, whatever the state. */
  reconnect() {
    if (this.#stopped.signal.aborted) return;
    clearTimeout(this.#reconnectTimer);
    this.#drop(true);
    this.#open();
  }

  /** Sends a command that nobody waits for; without a connection it is dropped. */
  emit(name, payload) {
    if (this.state === "online") this.#socket.send(JSON.stringify([name, payload]));
  }

  /** Sends a command and resolves with its acknowledgement, for which it waits `patience` ms. Rejects with ConnectionLost. */
  request(name, payload, patience = ANSWER_MS) {
    return new Promise((resolve, reject) => {
      if (this.state !== "online") {
        reject(new ConnectionLost(false));
        return;
      }
      const number = ++this.#lastRequest;
      const timer = setTimeout(() => {
        this.#requests.delete(number);
        reject(new ConnectionLost(true));
        this.reconnect();
      }, patience);
      this.#requests.set(number, { resolve, reject, timer });
      this.#socket.send(JSON.stringify([name, payload, number]));
    });
  }

  #open() {
    this.retryAt = null;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws`);
    this.#socket = socket;
    this.#phaseTimer = setTimeout(() => this.#lost(0), HANDSHAKE_MS);
    // A socket that was given up on may still speak; only the current one is listened to.
    const current = (handle) => (event) => {
      if (socket === this.#socket) handle(event);
    };
    socket.onopen = current(() => socket.send(JSON.stringify(this.#greeting())));
    socket.onmessage = current((event) => this.#receive(event.data));
    socket.onclose = current((event) => {
      if (event.code === UNAUTHORIZED) this.#refused("", this.#pid !== undefined);
      else if (FINAL.has(event.code)) this.#halt(FINAL.get(event.code));
      else this.#lost(event.code === CROWDED ? CROWDED_DELAY_MS : 0);
    });
    this.#showState();
  }

  #greeting() {
    const token = this.#token;
    // What is undefined is left out of the JSON: before the first event there is no offset.
    return this.#pid ? ["resume", { token, pid: this.#pid, offset: this.#offset }] : ["user:connect", { token }];
  }

  #receive(text) {
    const [name, payload, extra] = JSON.parse(text);
    if (name === "connect") {
      this.#connected(payload);
    } else if (name === "connect_error") {
      this.#refused(payload.message, this.#pid !== undefined);
    } else if (name === "ack") {
      const request = this.#requests.get(extra);
      this.#requests.delete(extra);
      clearTimeout(request?.timer);
      request?.resolve(payload);
    } else {
      if (typeof extra === "string") this.#offset = extra;
      this.#handlers.onEvent(name, payload);
    }
  }

  #connected({ pid, recovered = false }) {
    clearTimeout(this.#phaseTimer);
    this.#phaseTimer = setTimeout(() => (this.#failures = 0), STABLE_MS);
    this.#pid = pid;
    if (!recovered) this.#offset = undefined;
    this.#setState("online");
    this.#handlers.onOnline(recovered);
  }

  #refused(message, ended) {
    this.stop();
    this.#handlers.onRefused(message, ended);
  }

  #halt(problem) {
    this.#drop(false);
    this.problem = problem;
    this.#setState("halted");
  }

  #lost(atLeast) {
    this.#drop(true);
    // Jitter keeps a thousand pages from returning to a restarted server in the same instant.
    const delay = Math.max(atLeast, Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures)) * (0.5 + Math.random());
    this.#failures += 1;
    this.retryAt = Date.now() + delay;
    this.#reconnectTimer = setTimeout(() => this.#open(), delay);
    this.#showState();
  }

  #drop(unexpected) {
    clearTimeout(this.#phaseTimer);
    this.retryAt = null;
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    if (unexpected || this.state === "online") this.#setState("reconnecting");
    for (const { reject, timer } of requests) {
      clearTimeout(timer);
      reject(new ConnectionLost(false));
    }
  }

  #setState(state) {
    this.state = state;
    this.#showState();
  }

  /** Attempts go on without a network, since the server may be on this very machine: only the word differs. */
  #showState() {
    if (this.state === "reconnecting" || this.state === "offline") {
      this.state = navigator.onLine ? "reconnecting" : "offline";
    }
    if (!this.#stopped.signal.aborted) this.#handlers.onState();
  }
}
