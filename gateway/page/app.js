// The page: who is signed in, which screen shows, and how the parts hear of each other.
//
//   rest.js      the REST API               socket.js    the live connection
//   chat.js      what the page knows        sync.js      when the server is asked anew
//   history.js   messages that were loaded  timeline.js  those of one conversation
//   unread.js    how many are unread        reads.js     who has read what
//   presence.js  who is there               typing.js    who is typing
//   outbox.js    messages on their way
//   sidebar.js   the left pane              status.js    the state of the connection
//   thread.js    the right pane             bubble.js    one message
//   composer.js  where one writes           people.js    search and groups
//   dom.js, text.js   helpers

import { Chat } from "./chat.js";
import { byId } from "./dom.js";
import { GroupDialog, PeopleSearch } from "./people.js";
import { Rest } from "./rest.js";
import { Sidebar } from "./sidebar.js";
import { Connection } from "./socket.js";
import { ConnectionStatus } from "./status.js";
import { summaryOf, titleOf } from "./text.js";
import { Thread } from "./thread.js";

// In sessionStorage, not localStorage: a tab keeps its user across reloads, yet two tabs of one browser can
// be two users, which is what trying out a chat takes.
const SESSION = "linkup.session";
const NOTICE_MS = 6_000;
/** Changes within one frame are drawn together. Not requestAnimationFrame: hidden tabs count unread messages too. */
const FRAME_MS = 16;

let leave = () => {};

function start() {
  const stored = sessionStorage.getItem(SESSION);
  if (stored) enter(JSON.parse(stored));
  else showAuth("login");
}

// ---- Signing in ------------------------------------------------------------------------------------

function showAuth(form, message = "") {
  byId("chat").hidden = true;
  byId("auth").hidden = false;
  for (const id of ["login", "register"]) byId(id).hidden = id !== form;
  showFormError(byId(form), message);
  byId(form).querySelector("input").focus();
}

function showFormError(form, message) {
  const error = form.querySelector(".form-error");
  error.textContent = message;
  error.hidden = !message;
}

function onAuthSubmit(form, request) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    showFormError(form, "");
    button.disabled = true;
    try {
      const session = await request(form.elements);
      sessionStorage.setItem(SESSION, JSON.stringify(session));
      form.reset();
      enter(session);
    } catch (error) {
      showFormError(form, error.explanation);
    } finally {
      button.disabled = false;
    }
  });
}

function signOut(message) {
  sessionStorage.removeItem(SESSION);
  leave();
  history.replaceState(null, "", location.pathname);
  showAuth("login", message);
}

// ---- Chatting --------------------------------------------------------------------------------------

function enter({ user: me, token }) {
  byId("auth").hidden = true;
  byId("chat").hidden = false;

  const screen = new AbortController();
  const { signal } = screen;
  const ended = (message, elsewhere) => {
    // A late answer to this session must not end the next one.
    if (signal.aborted) return;
    const reason = elsewhere ? "You were signed out: this session was ended elsewhere, or its time is over." : "Your session has ended.";
    signOut(`${reason} Please sign in again.`);
  };
  const rest = new Rest(token, ended);
  const draw = coalesced(() => render(), signal);
  const connect = (handlers) => new Connection(token, handlers);
  const chat = new Chat(me, rest, connect, {
    onChange: draw,
    onNotice: showNotice,
    onArrival: (message, conversation) => announce(message, titleOf(conversation, me)),
    onClosed: () => {
      showNotice("This conversation is no longer available to you.");
      goTo(null);
    },
    onRefused: ended,
  });
  const sidebar = new Sidebar(me, goTo);
  const status = new ConnectionStatus(chat.connection, signal);
  const thread = new Thread(me, chat, showNotice);
  const dialog = new GroupDialog(me, rest, chat, goTo, showNotice);
  const search = new PeopleSearch(byId("search"), byId("search-results"), {
    rest,
    testid: "search-result",
    excluded: () => [me._id],
    onPick: (user) => chat.start([user._id]).then(goTo, (error) => showNotice(error.explanation)),
    onToggle: (searching) => (byId("conversation-pane").hidden = searching),
  });

  function render() {
    byId("chat").dataset.pane = chat.conversations.has(chat.openId) ? "thread" : "list";
    status.render(chat.comeback);
    sidebar.render(chat);
    thread.render();
    dialog.refresh();
  }

  // The open conversation stands in the address: reloading keeps it, and a phone's back gesture closes it.
  function showAddressed() {
    const id = /^#c=([0-9a-f]{24})$/.exec(location.hash)?.[1] ?? null;
    if (id && chat.ready && !chat.conversations.has(id)) {
      goTo(null);
      return;
    }
    const left = chat.openId;
    chat.open(id);
    render();
    if (id) thread.focus();
    else document.querySelector(`[data-conversation-id="${left}"]`)?.focus();
  }

  addEventListener("hashchange", showAddressed, { signal });
  addEventListener("beforeunload", (event) => chat.outbox.entries.length > 0 && event.preventDefault(), { signal });
  addEventListener("pagehide", () => chat.leaving(), { signal });
  document.addEventListener("visibilitychange", () => !document.hidden && chat.onVisible(), { signal });
  byId("back").addEventListener("click", () => goTo(null), { signal });
  byId("sign-out").addEventListener("click", () => signOut(""), { signal });
  byId("new-group").addEventListener("click", () => dialog.show(), { signal });
  byId("members").addEventListener("click", () => dialog.show(chat.conversations.get(chat.openId)), { signal });

  leave = () => {
    leave = () => {};
    screen.abort();
    chat.stop();
    search.clear();
    dialog.close();
    document.title = "LinkUp";
  };
  showAddressed();
}

/** Opens a conversation, or with null the list. From one to another does not pile up in the history. */
function goTo(id) {
  const address = id === null ? location.pathname : `#c=${id}`;
  if (id !== null && location.hash === "") history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** Of any number of calls does one; in a busy room it leaves the browser at least two thirds of the time. */
function coalesced(action, signal) {
  let due = false;
  let took = 0;
  return () => {
    if (due) return;
    due = true;
    const draw = () => {
      due = false;
      if (signal.aborted) return;
      const begin = performance.now();
      action();
      took = performance.now() - begin;
    };
    setTimeout(draw, Math.max(FRAME_MS, 2 * took));
  };
}

// ---- Notices ---------------------------------------------------------------------------------------

let noticeTimer;

function showNotice(text) {
  const notice = byId("notice");
  notice.textContent = text;
  notice.hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => (notice.hidden = true), NOTICE_MS);
}

/** Tells a screen reader about a message of somebody else. */
function announce(message, title) {
  byId("announcer").textContent = `${message.sender.name} in ${title}: ${summaryOf(message)}`;
}

for (const button of document.querySelectorAll("[data-show]")) {
  button.addEventListener("click", () => showAuth(button.dataset.show));
}
onAuthSubmit(byId("login"), (fields) => new Rest().login(fields.email.value.trim(), fields.password.value));
onAuthSubmit(byId("register"), (fields) =>
  new Rest().register(fields.name.value.trim(), fields.email.value.trim(), fields.password.value),
);
start();
