// The right pane: the open conversation.

import { bubble, dayMark } from "./bubble.js";
import { Composer } from "./composer.js";
import { KeyedList, byId, presenceDot } from "./dom.js";
import { conversationAvatar, partnerPresence, typingIn } from "./sidebar.js";
import { dayKey, dayName, listOf, membersOf, namesReaders, presenceText, titleOf } from "./text.js";

/** Messages of one author within this time stand together under one name. */
const RUN_MS = 5 * 60_000;
/** Closer to the end than this, in pixels, the view follows new messages. */
const FOLLOW = 80;
/** Closer to the start than this, older messages are loaded. */
const LOAD_OLDER = 250;

export class Thread {
  #me;
  #chat;
  #list;
  #composer;
  #onNotice;
  #shownId = null;
  #shownTimeline;
  #headSignature;
  /** The message whose choices are shown. */
  #chosen = null;

  constructor(me, chat, onNotice) {
    this.#me = me;
    this.#chat = chat;
    this.#onNotice = onNotice;
    const actions = {
      retry: (item) => chat.outbox.retry(item.key),
      toggle: (item) => this.#choose(this.#chosen === item.key ? null : item.key),
      edit: (item) => this.#edit(item),
      remove: (item) => this.#remove(item),
    };
    this.#list = new KeyedList(byId("messages"), (item) => (item.day ? dayMark(item) : bubble(item, actions)));
    this.#composer = new Composer(chat, () => {
      this.render();
      this.#scrollToEnd();
    });
    byId("messages").onkeydown = (event) => this.#onKey(event);
    byId("scroll").onscroll = () => this.#onScroll();
    byId("older").onclick = () => chat.loadOlder();
    byId("latest").onclick = () => this.#scrollToEnd();
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

    const timeline = chat.timelines.get(conversation._id);
    if (distanceToEnd(byId("scroll")) < FOLLOW) timeline?.trim();
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
    this.#seen();
  }

  /** Brings the keyboard to where one writes; not on a touch screen, where it would cover half of it. */
  focus() {
    if (matchMedia("(pointer: fine)").matches) byId("composer").focus();
    else byId("scroll").focus({ preventScroll: true });
  }

  #switchTo(conversation) {
    this.#shownId = conversation?._id ?? null;
    this.#chosen = null;
    this.#list.clear();
    this.#composer.switchTo(this.#shownId);
  }

  #renderHead(conversation) {
    const typing = typingIn(this.#chat, conversation, this.#me);
    if (byId("typing").textContent !== typing) byId("typing").textContent = typing;
    const title = titleOf(conversation, this.#me);
    const presence = partnerPresence(conversation, this.#me, this.#chat.presence);
    const words = presence ? presenceText(presence) : membersOf(conversation, this.#me);
    const signature = JSON.stringify([conversation._id, title, presence?.status, words]);
    if (signature === this.#headSignature) return;
    this.#headSignature = signature;
    byId("thread-avatar").replaceChildren(conversationAvatar(conversation, this.#me));
    if (presence) byId("thread-avatar").append(presenceDot(presence.status, words));
    byId("thread-title").textContent = title;
    byId("thread-subtitle").textContent = words;
    byId("members").hidden = conversation.type !== "group";
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

  // ---- Messages ------------------------------------------------------------------------------------

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
      items.push(item);
      previous = item;
    };
    const stored = messages.map((message) => this.#storedItem(message));
    this.#addReceipts(conversation, messages, stored);
    stored.forEach(push);
    this.#outgoing().forEach((entry) => push(this.#outgoingItem(entry)));
    const last = items.findLast((item) => item.changeable);
    if (last) last.stop = true;
    for (const item of items) item.signature ??= signatureOf(item);
    return items;
  }

  #storedItem(message) {
    const mine = message.sender._id === this.#me._id;
    // The same key as while it was on its way, so that its bubble stays where it is.
    const key = mine ? (message.clientMessageId ?? message._id) : message._id;
    return {
      key,
      id: message._id,
      author: message.sender._id,
      name: message.sender.name,
      mine,
      state: mine ? "sent" : "received",
      seq: message.seq,
      content: message.content,
      attachment: message.attachmentUrl && { url: message.attachmentUrl, type: message.contentType },
      deleted: message.isDeleted,
      edited: message.editedAt,
      changeable: mine && !message.isDeleted,
      chosen: mine && !message.isDeleted && this.#chosen === key,
      version: message.updatedAt,
      createdAt: message.createdAt,
    };
  }

  #outgoingItem(entry) {
    const { clientMessageId, state, problem, content, createdAt } = entry;
    return { key: clientMessageId, author: this.#me._id, mine: true, state, problem, content, createdAt };
  }

  /** Who has read one's own messages: under each that more people have read than the next one. */
  #addReceipts(conversation, messages, items) {
    const named = namesReaders(conversation);
    const names = named && new Map(conversation.participants.map((user) => [user._id, user.name]));
    let later = 0;
    for (let index = items.length - 1; index >= 0; index -= 1) {
      const item = items[index];
      if (!item.changeable) continue;
      const all = named ? this.#chat.receipts.readers(conversation._id, messages[index]) : [];
      const readers = all.filter((userId) => names.has(userId));
      const count = named ? readers.length : (messages[index].readCount ?? 1) - 1;
      item.read = count > 0;
      if (count > later) item.receipt = receiptText(conversation, count, named && readers.map((id) => names.get(id)));
      later = Math.max(later, count);
    }
  }

  #choose(key) {
    this.#chosen = key;
    this.render();
    if (key) byId("messages").querySelector(".choices button")?.focus();
  }

  #message(item) {
    return this.#chat.timelines.get(this.#shownId)?.messages.find((message) => message._id === item.id);
  }

  #edit(item) {
    const message = this.#message(item);
    this.#chosen = null;
    this.render();
    if (message) this.#composer.edit(message);
  }

  async #remove(item) {
    const message = this.#message(item);
    if (!message || !confirm("Delete this message for everybody?")) return;
    this.#chosen = null;
    try {
      await this.#chat.remove(message);
    } catch (error) {
      this.#onNotice(error.explanation);
    }
    byId("composer").focus();
    this.render();
  }

  /** The arrows walk over one's own messages, Escape closes the choices. */
  #onKey(event) {
    if (event.key === "Escape" && this.#chosen) {
      this.#choose(null); // The list gives the focus to the button that showed them.
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      if (!event.target.classList.contains("more")) return;
      const stops = [...byId("messages").querySelectorAll(".more")];
      stops[stops.indexOf(event.target) + (event.key === "ArrowUp" ? -1 : 1)]?.focus();
      event.preventDefault();
    }
  }

  // ---- Scrolling -----------------------------------------------------------------------------------

  /** Changes the list so that what the reader looks at stays in its place; at the end, follows the end. */
  #keepingPosition(fresh, change) {
    const scroll = byId("scroll");
    const list = byId("messages");
    const follow = fresh || distanceToEnd(scroll) < FOLLOW;
    // The first in view may itself be replaced, as it no longer is the first of its day: hence a few of them.
    const inView = (child) => child.offsetTop + child.offsetHeight > scroll.scrollTop;
    const anchors = follow ? [] : [...list.children].filter(inView).slice(0, 8);
    const places = anchors.map((child) => child.offsetTop);
    change();
    const kept = anchors.findIndex((child) => child.isConnected);
    if (follow) this.#scrollToEnd();
    else if (kept >= 0) scroll.scrollTop += anchors[kept].offsetTop - places[kept];
  }

  #onScroll() {
    if (byId("scroll").scrollTop < LOAD_OLDER) this.#chat.loadOlder();
    this.#showLatestButton();
    this.#seen();
  }

  /** Tells how far down the messages are on the screen. */
  #seen() {
    const conversation = this.#chat.conversations.get(this.#shownId);
    if (!conversation?.unreadCount || document.visibilityState !== "visible") return;
    const scroll = byId("scroll");
    const edge = scroll.scrollTop + scroll.clientHeight;
    const bubbles = [...byId("messages").querySelectorAll("[data-seq]")];
    const last = bubbles.findLast((child) => distanceToEnd(scroll) < FOLLOW || child.offsetTop < edge);
    if (last) this.#chat.seen(Number(last.dataset.seq));
  }

  #scrollToEnd() {
    const scroll = byId("scroll");
    scroll.scrollTop = scroll.scrollHeight;
  }

  #showLatestButton() {
    byId("latest").hidden = distanceToEnd(byId("scroll")) < 4 * FOLLOW;
  }
}

/** Everything that a bubble shows. */
function signatureOf({ state, version, first, named, problem, deleted, read, receipt, chosen, stop }) {
  return JSON.stringify([state, version, first, named, problem, deleted, read, receipt, chosen, stop]);
}

function receiptText(conversation, count, names) {
  if (conversation.type === "direct") return "Read";
  return names ? `Read by ${listOf(names)}` : `Read by ${count}`;
}

function distanceToEnd(scroll) {
  return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;
}
