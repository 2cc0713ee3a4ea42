// What the page knows: the user's conversations and the messages loaded so far, kept up with the server.
//
// Events may come twice, late or not at all (the connection was down); the REST API and each conversation's
// `seq` put that right. This file holds that logic and draws nothing.

import { Outbox } from "./outbox.js";
import { Timeline } from "./timeline.js";

const PAGE = 50;
/** Further behind than this, a conversation starts over from its newest page instead of catching up. */
const MAX_CATCH_UP = 500;
/** A gap mostly closes by itself, when an acknowledgement has overtaken the event stream: wait a little. */
const GAP_PATIENCE_MS = 250;
/** At most one read mark a second, however fast messages arrive. */
const READ_INTERVAL_MS = 1_000;
const RETRY_MS = 2_000;
const MAX_UNREAD = 999;

export class Chat {
  /** By id. Beside the server's fields, `counted` is the `seq` up to which `unreadCount` is right. */
  conversations = new Map();
  /** By conversation; only of those that were opened. */
  timelines = new Map();
  /** Own messages that are not stored yet. */
  outbox;
  /** The conversation on the screen. */
  openId = null;
  /** Whether the list of conversations has arrived once. */
  ready = false;

  #me;
  #rest;
  #connection;
  #handlers;
  #heldEvents = null;
  #syncAgain = false;
  #syncTimer;
  #filling = new Set();
  #readTimer;
  #toMarkRead = new Map();
  #stopped = false;

  /**
   * @param me the signed-in user
   * @param rest an authenticated Rest
   * @param connect makes the Connection with the handlers it is given
   * @param handlers `{onChange(), onNotice(text), onArrival(message, conversation), onClosed(), onRefused(message)}`
   */
  constructor(me, rest, connect, handlers) {
    this.#me = me;
    this.#rest = rest;
    this.#handlers = handlers;
    this.#connection = connect({
      onState: () => this.#changed(),
      onOnline: () => this.#onOnline(),
      onEvent: (name, payload) => this.#onEvent(name, payload),
      onRefused: (message) => handlers.onRefused(message),
    });
    this.outbox = new Outbox(this.#connection, (message) => this.#acknowledged(message), () => this.#changed());
  }

  get connectionState() {
    return this.#connection.state;
  }

  /** Newest activity first. */
  get list() {
    const activity = (conversation) =>
      Date.parse(conversation.lastMessage?.createdAt ?? conversation.createdAt);
    return [...this.conversations.values()].sort((a, b) => activity(b) - activity(a));
  }

  get totalUnread() {
    return [...this.conversations.values()].reduce((sum, conversation) => sum + conversation.unreadCount, 0);
  }

  stop() {
    this.#stopped = true;
    this.#connection.stop();
    clearTimeout(this.#syncTimer);
    clearTimeout(this.#readTimer);
  }

  // ---- Conversations -------------------------------------------------------------------------------

  open(id) {
    this.openId = id;
    if (id !== null && this.conversations.has(id)) this.#load(id);
    this.#changed();
  }

  /** A conversation with these users; the existing one, if it is direct. Resolves with its id. */
  async start(userIds, name) {
    return this.#merge(await this.#rest.createConversation(userIds, name));
  }

  /** Renames a group or replaces its participants. */
  async update(id, change) {
    const answer = await this.#rest.updateConversation(id, change);
    const participants = answer.participants.map((user) => user._id);
    if (participants.includes(this.#me._id)) this.#merge(answer);
    else this.#forget(id);
  }

  /** The page came into view again: what was on the screen unseen is read now. */
  onVisible() {
    this.#connection.hurry();
    this.#readOpen();
  }

  #merge(update) {
    const known = this.conversations.get(update._id);
    this.conversations.set(update._id, {
      unreadCount: 0,
      counted: update.lastMessage?.seq ?? 0,
      ...update,
      ...(known && { unreadCount: known.unreadCount, counted: known.counted }),
      lastMessage: newest(known?.lastMessage, update.lastMessage),
    });
    this.#changed();
    return update._id;
  }

  #forget(id) {
    this.conversations.delete(id);
    this.timelines.delete(id);
    this.outbox.discard(id);
    if (this.openId === id) this.#handlers.onClosed();
    this.#changed();
  }

  // ---- Live events and catching up -----------------------------------------------------------------

  #onOnline() {
    this.outbox.resend();
    this.#sync();
  }

  #onEvent(name, payload) {
    // While the list is on its way, events wait: then each is either in the list or comes after it, and
    // no unread message is counted twice or not at all.
    if (this.#heldEvents) this.#heldEvents.push([name, payload]);
    else this.#apply(name, payload);
  }

  #apply(name, payload) {
    if (name === "message:new") this.#applyMessage(payload);
    else if (name === "conversation:update") this.#applyUpdate(payload);
    else if (name === "error") this.#handlers.onNotice(payload.message);
  }

  #applyUpdate(update) {
    if (!update.participants.some((user) => user._id === this.#me._id)) {
      this.#forget(update._id);
      return;
    }
    // Of a conversation that others made, the last message and the unread count are still to be asked for.
    if (!this.conversations.has(update._id)) this.#syncSoon(0);
    this.#merge(update);
  }

  #applyMessage(message) {
    const conversation = this.conversations.get(message.conversationId);
    if (!conversation) {
      this.#syncSoon(0);
      return;
    }
    if (message.seq > conversation.counted) {
      conversation.counted = message.seq;
      if (message.sender._id !== this.#me._id) {
        conversation.unreadCount = Math.min(conversation.unreadCount + 1, MAX_UNREAD);
        this.#handlers.onArrival(message, conversation);
      }
    }
    this.#place(message, conversation);
    if (message.conversationId === this.openId) this.#readOpen();
  }

  /** Puts a committed message where it belongs, and takes it out of the outbox if it came from there. */
  #place(message, conversation) {
    if (message.clientMessageId && message.sender._id === this.#me._id) {
      this.outbox.settle(message.clientMessageId);
    }
    conversation.lastMessage = newest(conversation.lastMessage, message);
    const timeline = this.timelines.get(message.conversationId);
    timeline?.add(message);
    if (timeline?.hasGap) this.#fillSoon(message.conversationId);
    this.#changed();
  }

  #acknowledged(message) {
    const conversation = this.conversations.get(message.conversationId);
    if (conversation) this.#place(message, conversation);
  }

  #syncSoon(delay) {
    clearTimeout(this.#syncTimer);
    this.#syncTimer = setTimeout(() => this.#sync(), delay);
  }

  /** Loads the list of conversations anew, and what is missing of their messages. */
  async #sync() {
    clearTimeout(this.#syncTimer);
    if (this.#heldEvents) {
      this.#syncAgain = true;
      return;
    }
    this.#heldEvents = [];
    this.#syncAgain = false;
    try {
      await this.#loadList();
      if (this.#syncAgain) this.#syncSoon(0);
    } catch (error) {
      this.#retryLater(error, () => this.#syncSoon(retryDelay(error)));
    }
    if (this.#stopped) return;
    const events = this.#heldEvents;
    this.#heldEvents = null;
    events.forEach(([name, payload]) => this.#apply(name, payload));
    for (const id of this.timelines.keys()) this.#catchUp(id);
    if (this.ready && this.openId !== null) this.#openAfterSync();
    this.#changed();
  }

  #openAfterSync() {
    if (!this.conversations.has(this.openId)) this.#handlers.onClosed();
    else this.#load(this.openId);
  }

  async #loadList() {
    const before = [...this.conversations.keys()];
    const list = await this.#rest.conversations();
    const listed = new Set(list.map((conversation) => conversation._id));
    for (const conversation of list) {
      const known = this.conversations.get(conversation._id);
      const lastMessage = newest(known?.lastMessage, conversation.lastMessage);
      this.conversations.set(conversation._id, {
        ...conversation,
        lastMessage,
        counted: conversation.lastMessage?.seq ?? 0,
      });
    }
    // One that was made while the list was on its way is not in it; it was not known before either.
    for (const id of before) {
      if (!listed.has(id)) this.#forget(id);
    }
    this.ready = true;
  }

  #catchUp(id) {
    const timeline = this.timelines.get(id);
    if (!timeline.loaded) return;
    const behind = (this.conversations.get(id)?.lastMessage?.seq ?? 0) - timeline.top;
    if (behind <= MAX_CATCH_UP) {
      this.#fill(id);
    } else {
      this.timelines.delete(id);
      if (id === this.openId) this.#load(id);
    }
  }

  #fillSoon(id) {
    setTimeout(() => this.timelines.get(id)?.hasGap && this.#fill(id), GAP_PATIENCE_MS);
  }

  /** Asks for everything after what is known without a gap, until there is no more. */
  async #fill(id) {
    const timeline = this.timelines.get(id);
    const last = this.conversations.get(id)?.lastMessage?.seq ?? 0;
    if (!timeline?.loaded || this.#filling.has(id) || timeline.top >= last) return;
    this.#filling.add(id);
    try {
      let page;
      do {
        page = await this.#rest.messages(id, { after: timeline.top, limit: PAGE });
        timeline.append(page);
        this.#changed();
      } while (page.length === PAGE);
    } catch (error) {
      this.#retryLater(error, () => setTimeout(() => this.#fill(id), retryDelay(error)));
      return;
    } finally {
      this.#filling.delete(id);
    }
    if (timeline.hasGap) this.#fillSoon(id); // More has come, out of order, while this went on.
    if (id === this.openId) this.#readOpen();
  }

  /** Tries again if that can help; without a connection, the next one starts everything over anyway. */
  #retryLater(error, retry) {
    if (this.#stopped || error.status === 401) return;
    if (this.connectionState !== "online") return;
    this.#handlers.onNotice(error.transient ? "LinkUp is busy right now. Trying again…" : error.explanation);
    if (error.transient) retry();
  }

  // ---- The messages of the open conversation -------------------------------------------------------

  async #load(id) {
    if (this.timelines.get(id)) {
      this.#readOpen();
      return;
    }
    const timeline = new Timeline();
    this.timelines.set(id, timeline);
    try {
      timeline.start(await this.#rest.messages(id, { limit: PAGE }), PAGE);
      this.#fill(id);
      this.#readOpen();
    } catch (error) {
      this.timelines.delete(id);
      this.#retryLater(error, () => setTimeout(() => id === this.openId && this.#load(id), retryDelay(error)));
    }
    this.#changed();
  }

  /** Loads the page of messages before the first one of the open conversation. */
  async loadOlder() {
    const id = this.openId;
    const timeline = this.timelines.get(id);
    const token = `older ${id}`;
    if (!timeline?.hasOlder || this.#filling.has(token)) return;
    this.#filling.add(token);
    try {
      timeline.prepend(await this.#rest.messages(id, { before: timeline.messages[0].seq, limit: PAGE }), PAGE);
    } catch (error) {
      this.#handlers.onNotice(error.explanation);
      // Every movement of the scroll bar asks again: not before the server may have recovered.
      await new Promise((resolve) => setTimeout(resolve, retryDelay(error)));
    } finally {
      this.#filling.delete(token);
    }
    this.#changed();
  }

  /** Marks the open conversation as read, if somebody can be looking at it. */
  #readOpen() {
    const conversation = this.conversations.get(this.openId);
    const timeline = this.timelines.get(this.openId);
    if (!conversation?.unreadCount || !timeline?.loaded || document.visibilityState !== "visible") return;
    const last = timeline.messages.findLast((message) => !message.isDeleted);
    if (!last) return;
    conversation.unreadCount = 0;
    this.#toMarkRead.set(this.openId, last._id);
    if (!this.#readTimer) this.#sendRead();
    this.#changed();
  }

  #sendRead() {
    this.#readTimer = null;
    if (this.#toMarkRead.size === 0 || this.#stopped) return;
    this.#readTimer = setTimeout(() => this.#sendRead(), READ_INTERVAL_MS);
    const marks = [...this.#toMarkRead];
    this.#toMarkRead.clear();
    marks.forEach(([id, messageId]) => this.#sendReadMark(id, messageId));
  }

  async #sendReadMark(id, messageId) {
    try {
      await this.#rest.markRead(messageId);
    } catch (error) {
      // Once connected again, the list tells what is still unread, and that is marked anew.
      const retry = error.transient && this.connectionState === "online";
      if (retry && !this.#toMarkRead.has(id)) this.#toMarkRead.set(id, messageId);
    }
  }

  #changed() {
    if (!this.#stopped) this.#handlers.onChange();
  }
}

function newest(a, b) {
  if (!a || !b) return a ?? b ?? null;
  return b.seq >= a.seq ? b : a;
}

function retryDelay(error) {
  return error.retryAfter === null ? RETRY_MS : error.retryAfter * 1_000;
}
