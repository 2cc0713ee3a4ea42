// The state of the connection in words: in the sidebar, over the open conversation, and for screen readers.

import { byId } from "./dom.js";

/** Trouble that is over by then is not told aloud. */
const PATIENCE_MS = 1_500;

const COMEBACKS = {
  recovered: { word: "recovered", title: "The connection was lost; everything that was missed has arrived." },
  "catching-up": { word: "catching up", title: "The connection was lost; what was missed is being loaded." },
  "caught-up": { word: "caught up", title: "The connection was lost; what was missed has been loaded anew." },
};

export class ConnectionStatus {
  #connection;
  #timer;
  #aloudTimer;
  #said = "";
  #stage = "";
  #troubled = false;

  constructor(connection, signal) {
    this.#connection = connection;
    byId("reconnect").onclick = () => connection.reconnect();
    signal.addEventListener("abort", () => {
      clearTimeout(this.#timer);
      clearTimeout(this.#aloudTimer);
      byId("connection-aloud").textContent = "";
    });
  }

  /** @param comeback how the last return went; see sync.js */
  render(comeback) {
    clearTimeout(this.#timer);
    const { state, problem, retryAt } = this.#connection;
    const seconds = retryAt === null ? null : Math.max(1, Math.ceil((retryAt - Date.now()) / 1_000));
    const back = state === "online" ? COMEBACKS[comeback] : undefined;
    const words = wordsOf(state, seconds);
    const pill = byId("connection");
    pill.dataset.state = state;
    pill.dataset.comeback = (back && comeback) ?? "";
    pill.title = back?.title ?? problem;
    setText(pill, back ? `${words} · ${back.word}` : words);
    this.#renderTrouble(state, seconds, problem);
    this.#tell(state, comeback, problem);
    if (seconds !== null) this.#timer = setTimeout(() => this.render(comeback), (retryAt - Date.now()) % 1_000 || 1_000);
  }

  /** On a phone the list, with the state of the connection, is out of sight: trouble is told here too. */
  #renderTrouble(state, seconds, problem) {
    byId("trouble").hidden = state === "online";
    byId("reconnect").hidden = seconds === null && state !== "halted";
    const sent = "What you write is sent as soon as it is back.";
    const next = seconds === null ? "Trying again…" : `Next attempt in ${seconds} s.`;
    const texts = {
      connecting: "Connecting…",
      halted: problem,
      offline: `Your device is offline. ${sent}`,
    };
    setText(byId("trouble-text"), texts[state] ?? `No connection. ${next} ${sent}`);
  }

  /** To a screen reader, politely: that it is lost (if it stays so), that it is back, and never the seconds. */
  #tell(state, comeback, problem) {
    const stage = state === "online" ? `online ${comeback}` : state;
    if (stage === this.#stage) return;
    this.#stage = stage;
    clearTimeout(this.#aloudTimer);
    if (state === "online") {
      const back = COMEBACKS[comeback]?.word;
      if (comeback !== "catching-up") this.#say(back && this.#troubled ? `Connected again, ${back}.` : "Connected.");
      return;
    }
    const words = {
      reconnecting: "Connection lost. Reconnecting.",
      offline: "Your device is offline.",
      halted: problem,
    };
    this.#aloudTimer = setTimeout(() => {
      if (!words[state]) return;
      this.#troubled = true;
      this.#say(words[state]);
    }, PATIENCE_MS);
  }

  #say(text) {
    if (text === this.#said) return;
    this.#said = text;
    byId("connection-aloud").textContent = text;
  }
}

function wordsOf(state, seconds) {
  if (state === "online") return "Online";
  if (state === "connecting") return "Connecting…";
  if (state === "halted") return "Disconnected";
  const word = state === "offline" ? "Offline" : "Reconnecting";
  if (seconds !== null) return state === "offline" ? `Offline, next try in ${seconds} s` : `${word} in ${seconds} s`;
  return state === "offline" ? word : `${word}…`;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
