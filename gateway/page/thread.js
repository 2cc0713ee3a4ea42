// The right pane: the open conversation.

import { KeyedList, byId, element } from "./dom.js";
import { conversationAvatar } from "./sidebar.js";
import { dateAndTime, dayKey, dayName, membersOf, timeOfDay, titleOf } from "./text.js";

/** Messages of one author within this time stand together under one name. */
const RUN_MS = 5 * 60_000;
/** Closer to the end than this, in pixels, the view follows new messages. */
const FOLLOW = 80;
/** Closer to the start than this, older messages are loaded. */
const LOAD_OLDER = 250;

const MARKS = { sending: "Sending", sent: "Sent", failed: "Not sent" };

export class Thread {
  #me;
  #chat;
  #list;
  #shownId = null;
  #shownTimeline;
  #headSignature;
  #drafts = new Map();

  constructor(me, chat) {
    this.#me = me;
    this.#chat = chat;
    this.#list = new KeyedList(byId("messages"), (item) => (item.day ? dayMark(item) : this.#bubble(item)));
    byId("scroll").onscroll = () => this.#onScroll();
    byId("older").onclick = () => chat.loadOlder();
    byId("latest").onclick = () => this.#scrollToEnd();
    byId("compose").onsubmit = (event) => this.#submit(event);
    const composer = byId("composer");
    composer.oninput = () => fitHeight(composer);
    composer.onkeydown = (event) => {
      // While an input method composes a word, Enter belongs to it.
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.#submit(event);
    };
  }

  render() {
    const chat = this.#chat;
    const conversation = chat.conversations.get(chat.openId);
    byId("open-thread").hidden = !conversation;
    byId("nothing-open").hidden = Boolean(conversation);
    const switched = this.#shownId !== (conversation?._id ?? null);
    if (switched) this.#switchTo(conversation);
    if (!conversation) return;
    this.#renderHead(conversation);
    this.#renderTrouble(chat.connectionState);

    const timeline = chat.timelines.get(conversation._id);
    const items = this.#items(conversation, timeline?.loaded ? timeline.messages : []);
    // A conversation that has just been opened, or loaded anew, shows its end.
    const fresh = timeline?.loaded && timeline !== this.#shownTimeline;
    if (timeline?.loaded) this.#shownTimeline = timeline;
    this.#keepingPosition(fresh || switched, () => {
      byId("older").hidden = !timeline?.hasOlder;
      this.#renderNote(timeline);
      this.#list.update(items);
    });
    this.#showLatestButton();
  }

  /** Brings the keyboard to where one writes; not on a touch screen, where it would cover half of it. */
  focus() {
    if (matchMedia("(pointer: fine)").matches) byId("composer").focus();
    else byId("scroll").focus({ preventScroll: true });
  }

  #switchTo(conversation) {
    const composer = byId("composer");
    if (this.#shownId) this.#drafts.set(this.#shownId, composer.value);
    this.#shownId = conversation?._id ?? null;
    this.#list.clear();
    composer.value = this.#drafts.get(this.#shownId) ?? "";
    if (conversation) fitHeight(composer);
  }

  #renderHead(conversation) {
    const title = titleOf(conversation, this.#me);
    const members = membersOf(conversation, this.#me);
    const signature = JSON.stringify([conversation._id, title, members]);
    if (signature === this.#headSignature) return;
    this.#headSignature = signature;
    byId("thread-avatar").replaceChildren(conversationAvatar(conversation, this.#me));
    byId("thread-title").textContent = title;
    byId("thread-subtitle").textContent = members;
    byId("members").hidden = conversation.type !== "group";
  }

  /** On a phone the list, with the state of the connection, is out of sight: trouble is told here too. */
  #renderTrouble(state) {
    const trouble = byId("trouble");
    trouble.hidden = state === "online";
    trouble.textContent =
      state === "connecting" ? "Connecting…" : "No connection. What you write is sent as soon as it is back.";
  }

  #renderNote(timeline) {
    const note = byId("thread-note");
    const empty = timeline?.loaded && timeline.messages.length === 0 && !this.#outgoing().length;
    note.hidden = Boolean(timeline?.loaded) && !empty;
    note.textContent = empty ? "No messages yet. Say hello!" : "Loading messages…";
  }

  #outgoing() {
    return this.#chat.outbox.of(this.#shownId);
  }

  /** Everything in the list: stored messages by `seq`, then those on their way, with a mark at each new day. */
  #items(conversation, messages) {
    const group = conversation.type === "group";
    const items = [];
    let previous = null;
    const push = (item) => {
      if (!previous || dayKey(previous.createdAt) !== dayKey(item.createdAt)) {
        const key = `day ${dayKey(item.createdAt)} ${item.key}`;
        items.push({ key, signature: dayName(item.createdAt), day: item.createdAt });
        previous = null;
      }
      const apart = Date.parse(item.createdAt) - Date.parse(previous?.createdAt);
      item.first = previous?.author !== item.author || !(apart < RUN_MS);
      item.named = group && item.first && !item.mine;
      item.signature = JSON.stringify([item.state, item.version, item.first, item.named, item.problem]);
      items.push(item);
      previous = item;
    };
    messages.forEach((message) => push(this.#storedItem(message)));
    this.#outgoing().forEach((entry) => push(this.#outgoingItem(entry)));
    return items;
  }

  #storedItem(message) {
    const mine = message.sender._id === this.#me._id;
    return {
      // The same key as while it was on its way, so that its bubble stays where it is.
      key: mine ? (message.clientMessageId ?? message._id) : message._id,
      author: message.sender._id,
      name: message.sender.name,
      mine,
      state: mine ? "sent" : "received",
      seq: message.seq,
      content: message.content,
      attachment: message.attachmentUrl && { url: message.attachmentUrl, type: message.contentType },
      deleted: message.isDeleted,
      version: message.updatedAt,
      createdAt: message.createdAt,
    };
  }

  #outgoingItem(entry) {
    const { clientMessageId, state, problem, content, createdAt } = entry;
    return { key: clientMessageId, author: this.#me._id, mine: true, state, problem, content, createdAt };
  }

  #bubble(item) {
    const classes = ["message", item.mine && "mine", item.first && "first", item.deleted && "deleted"];
    const data = { testid: "message", state: item.state };
    if (item.seq !== undefined) data.seq = item.seq;
    return element(
      "li",
      { className: classes.filter(Boolean).join(" "), data },
      item.named && element("span", { className: "author" }, item.name),
      element(
        "div",
        { className: "bubble" },
        item.deleted ? "Message deleted" : attachment(item.attachment),
        !item.deleted && element("span", { data: { testid: "message-text" } }, item.content),
        stamp(item),
      ),
      item.state === "failed" && this.#failure(item),
    );
  }

  #failure(item) {
    const retry = () => this.#chat.outbox.retry(item.key);
    return element(
      "p",
      { className: "failure" },
      `${item.problem} `,
      element("button", { type: "button", className: "link", data: { testid: "retry" }, onclick: retry }, "Try again"),
    );
  }

  #submit(event) {
    event.preventDefault();
    const composer = byId("composer");
    const content = composer.value.trim();
    if (!content) return;
    composer.value = "";
    composer.focus();
    fitHeight(composer);
    this.#chat.outbox.send(this.#shownId, content);
    this.render();
    this.#scrollToEnd();
  }

  // ---- Scrolling -----------------------------------------------------------------------------------

  /** Changes the list so that what the reader looks at stays in its place; at the end, follows the end. */
  #keepingPosition(fresh, change) {
    const scroll = byId("scroll");
    const list = byId("messages");
    const follow = fresh || distanceToEnd(scroll) < FOLLOW;
    // The first in view may itself be replaced, as it no longer is the first of its day: hence a few of them.
    const inView = (child) => child.offsetTop + child.offsetHeight > scroll.scrollTop;
    const anchors = [...list.children].filter(inView).slice(0, 8);
    const places = anchors.map((child) => child.offsetTop);
    change();
    const kept = anchors.findIndex((child) => child.isConnected);
    if (follow) this.#scrollToEnd();
    else if (kept >= 0) scroll.scrollTop += anchors[kept].offsetTop - places[kept];
  }

  #onScroll() {
    if (byId("scroll").scrollTop < LOAD_OLDER) this.#chat.loadOlder();
    this.#showLatestButton();
  }

  #scrollToEnd() {
    const scroll = byId("scroll");
    scroll.scrollTop = scroll.scrollHeight;
  }

  #showLatestButton() {
    byId("latest").hidden = distanceToEnd(byId("scroll")) < 4 * FOLLOW;
  }
}

function distanceToEnd(scroll) {
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
}

function dayMark({ day }) {
  return element("li", { className: "day" }, element("span", {}, dayName(day)));
}

function stamp(item) {
  return element(
    "span",
    { className: "stamp" },
    element("time", { dateTime: item.createdAt, title: dateAndTime(item.createdAt) }, timeOfDay(item.createdAt)),
    item.mine && element("span", { className: "mark", role: "img", aria: { label: MARKS[item.state] } }),
  );
}

/** An image where the page may show it (https only), otherwise a link. */
function attachment(attached) {
  if (!attached) return null;
  const { url, type } = attached;
  if (!/^https?:\/\//.test(url)) return null;
  const link = { href: url, target: "_blank", rel: "noopener noreferrer", className: "attachment" };
  if (type !== "image" || !url.startsWith("https://")) return element("a", link, "Open attachment");
  const image = { src: url, alt: "Attached image", loading: "lazy", referrerPolicy: "no-referrer" };
  return element("a", link, element("img", image));
}

/** As high as its text, up to what the style sheet allows. */
function fitHeight(textarea) {
  textarea.style.height = "auto";
  textarea.style.height = `${textarea.scrollHeight}px`;
}
