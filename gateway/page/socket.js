// The live connection: the plain WebSocket at /ws, where every frame is a JSON array.
//
// It keeps itself up. Whoever uses it learns when it is up (and must then catch up over REST: nothing says
// what was missed), and gets an answer to each request or learns that there will be none on this connection.

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 5_000;
/** From the start of a connection attempt to the server's "connect". */
const HANDSHAKE_MS = 10_000;
/** A request without an answer for this long means that the connection is dead without knowing it. */
const ANSWER_MS = 15_000;
/** A connection that lived this long ends the back-off; one that falls at once must not. */
const STABLE_MS = 5_000;

const UNAUTHORIZED = 4401;

/** The connection ended before the answer came: whether the server did it is unknown, so ask again. */
export class ConnectionLost extends Error {
  constructor(silent) {
    super("connection lost");
    /** Whether the server had all the time it could want. */
    this.silent = silent;
  }
}

export class Connection {
  /** `connecting`, `online`, `reconnecting`, or `offline` (as reconnecting, but the browser has no network). */
  state = "connecting";

  #token;
  #handlers;
  #socket = null;
  #failures = 0;
  #reconnectTimer;
  #phaseTimer;
  #requests = new Map();
  #lastRequest = 0;
  #stopped = new AbortController();

  /**
   * @param token of the session
   * @param handlers `{onState(), onOnline(), onEvent(name, payload), onRefused(message)}`
   */
  constructor(token, handlers) {
    this.#token = token;
    this.#handlers = handlers;
    const { signal } = this.#stopped;
    // After a change of network an open socket is most likely dead, and nothing would tell for minutes.
    addEventListener("online", () => this.#restart(), { signal });
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
    if (!this.#socket && !this.#stopped.signal.aborted) this.#restart();
  }

  /** Sends a command and resolves with its acknowledgement. Rejects with ConnectionLost. */
  request(name, payload) {
    return new Promise((resolve, reject) => {
      if (this.state !== "online") {
        reject(new ConnectionLost(false));
        return;
      }
      const number = ++this.#lastRequest;
      const timer = setTimeout(() => {
        this.#requests.delete(number);
        reject(new ConnectionLost(true));
        this.#restart();
      }, ANSWER_MS);
      this.#requests.set(number, { resolve, reject, timer });
      this.#socket.send(JSON.stringify([name, payload, number]));
    });
  }

  #restart() {
    clearTimeout(this.#reconnectTimer);
    this.#drop(false);
    this.#open();
  }

  #open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws`);
    this.#socket = socket;
    this.#phaseTimer = setTimeout(() => this.#lost(), HANDSHAKE_MS);
    // A socket that was given up on may still speak; only the current one is listened to.
    const current = (handle) => (event) => {
      if (socket === this.#socket) handle(event);
    };
    socket.onopen = current(() => socket.send(JSON.stringify(["user:connect", { token: this.#token }])));
    socket.onmessage = current((event) => this.#receive(event.data));
    socket.onclose = current((event) => {
      if (event.code === UNAUTHORIZED) this.#refused("Please sign in again.");
      else this.#lost();
    });
  }

  #receive(text) {
    const [name, payload, extra] = JSON.parse(text);
    if (name === "connect") {
      clearTimeout(this.#phaseTimer);
      this.#phaseTimer = setTimeout(() => (this.#failures = 0), STABLE_MS);
      this.#setState("online");
      this.#handlers.onOnline();
    } else if (name === "connect_error") {
      this.#refused(payload.message);
    } else if (name === "ack") {
      const request = this.#requests.get(extra);
      this.#requests.delete(extra);
      clearTimeout(request?.timer);
      request?.resolve(payload);
    } else {
      this.#handlers.onEvent(name, payload);
    }
  }

  #refused(message) {
    this.stop();
    this.#handlers.onRefused(message);
  }

  #lost() {
    this.#drop(true);
    // Jitter keeps a thousand pages from returning to a restarted server in the same instant.
    const delay = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    this.#failures += 1;
    this.#reconnectTimer = setTimeout(() => this.#open(), delay);
  }

  #drop(unexpected) {
    clearTimeout(this.#phaseTimer);
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
    if (this.state !== "online" && this.state !== "connecting") {
      this.state = navigator.onLine ? "reconnecting" : "offline";
    }
    if (!this.#stopped.signal.aborted) this.#handlers.onState();
  }
}
