// The REST API. Every failure leaves as an ApiError, whatever went wrong below.

/** No answer for this long is a failure: a spinner that never ends helps nobody. */
const TIMEOUT_MS = 15_000;

/** Statuses that say nothing about the request itself; 0 stands for "no answer at all". */
const TRANSIENT = new Set([0, 429, 500, 502, 503, 504]);

export class ApiError extends Error {
  constructor(status, message, retryAfter = null) {
    super(message);
    this.status = status;
    /** Seconds the server asks to wait, or null. */
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may well succeed later. */
  get transient() {
    return TRANSIENT.has(this.status);
  }

  /** What to tell the user. */
  get explanation() {
    if (this.status !== 429 && this.status !== 503) return this.message;
    const when = this.retryAfter === null ? "in a moment" : `in ${this.retryAfter} s`;
    return `LinkUp is busy right now. Please try again ${when}.`;
  }
}

export class Rest {
  #token;
  #onUnauthorized;

  /**
   * @param token of the session; null before there is one
   * @param onUnauthorized called when the server no longer accepts the token
   */
  constructor(token = null, onUnauthorized = () => {}) {
    this.#token = token;
    this.#onUnauthorized = onUnauthorized;
  }

  register(name, email, password) {
    return this.#call("POST", "/api/auth/register", { name, email, password });
  }

  login(email, password) {
    return this.#call("POST", "/api/auth/login", { email, password });
  }

  users(search, limit) {
    return this.#call("GET", `/api/users?${new URLSearchParams({ search, limit })}`);
  }

  user(id) {
    return this.#call("GET", `/api/users/${id}`);
  }

  conversations() {
    return this.#call("GET", "/api/conversations");
  }

  /** One conversation with all its participants. */
  conversation(id) {
    return this.#call("GET", `/api/conversations/${id}?limit=1`);
  }

  createConversation(participants, name) {
    return this.#call("POST", "/api/conversations", name ? { participants, name } : { participants });
  }

  updateConversation(id, change) {
    return this.#call("PUT", `/api/conversations/${id}`, change);
  }

  /** A page of messages, oldest first: the newest ones, or those `before` or `after` a `seq`. */
  messages(id, query) {
    return this.#call("GET", `/api/conversations/${id}/messages?${new URLSearchParams(query)}`);
  }

  editMessage(id, content) {
    return this.#call("PUT", `/api/messages/${id}`, { content });
  }

  deleteMessage(id) {
    return this.#call("DELETE", `/api/messages/${id}`);
  }

  async #call(method, path, body) {
    const headers = {};
    if (this.#token) headers.authorization = `Bearer ${this.#token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    let response;
    let answer;
    try {
      response = await fetch(path, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      answer = await response.text();
    } catch {
      throw new ApiError(0, "LinkUp cannot be reached right now. Please try again.");
    }
    // A proxy in between may answer with something that is not JSON.
    const json = parse(answer);
    if (response.ok && json !== undefined) return json;
    if (response.status === 401 && this.#token) this.#onUnauthorized();
    const seconds = Number.parseInt(response.headers.get("retry-after"), 10);
    const message = json?.message ?? `The server answered with an error (${response.status}).`;
    throw new ApiError(response.ok ? 502 : response.status, message, Number.isNaN(seconds) ? null : seconds);
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
