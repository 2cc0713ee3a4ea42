// What the page knows: the user's conversations and the messages loaded so far, kept up with the server.
//
// Events may come twice, late or not at all (the connection was down, and could not be recovered); the REST API and
// each conversation's `seq` put that right. This file holds that logic and draws nothing.

import { History } from "./history.js";
import { Outbox } from "./outbox.js";
import { Attendance, Presence } from "./presence.js";
import { ReadMarks, Receipts } from "./reads.js";
import { Sync } from "./sync.js";
import { newer } from "./timeline.js";
import { TypingSignal, Typists } from "./typing.js";
import { Unread } from "./unread.js";

/** Lists show no more participants than this; and above it, readers are counted and not named. */
const SMALL = 32;
/** In a large group, how many have read is asked for at most this often. */
const RECOUNT_MS = 3_000;

export class Chat {
  /** By id. Beside the server's fields, `whole` tells that all participants are there; see unread.js for the others. */
  conversations = new Map();
  /** Own messages that are not stored yet. */
  outbox;
  presence = new Presence();
  receipts = new Receipts();
  typists = new Typists(() => this.#changed());
  /** Says that the user is typing. */
  typing;
  connection;
  /** The conversation on the screen. */
  openId = null;
  /** Whether the list of conversations has arrived once. */
  ready = false;

  #me;
  #rest;
  #handlers;
  #history;
  #unread;
  #marks;
  #attendance;
  #sync;
  #recountTimer = null;
  #stopped = new AbortController();

  /**
   * @param me the signed-in user
   * @param rest an authenticated Rest
   * @param connect makes the Connection with the handlers it is given
   * @param handlers `{onChange(), onNotice(text), onArrival(message, conversation), onClosed(), onRefused(message, ended)}`
   */
  constructor(me, rest, connect, handlers) {
    this.#me = me;
    this.#rest = rest;
    this.#handlers = handlers;
    this.#history = new History(rest, {
      lastSeq: (id) => this.conversations.get(id)?.lastMessage?.seq ?? 0,
      isOpen: (id) => id === this.openId,
      onPage: (id, page) => this.#paged(id, page),
      onTrouble: (error, retry) => this.#sync.trouble(error, retry),
    });
    this.#sync = new Sync(
      {
        loadList: () => this.#loadList(),
        apply: (name, payload) => this.#apply(name, payload),
        finish: () => this.#finishSync(),
        ask: (id) => this.#ask(id),
        isOnline: () => this.connection.state === "online",
        onNotice: handlers.onNotice,
        onChange: () => this.#changed(),
      },
      this.#stopped.signal,
    );
    this.#unread = new Unread(me, (id) => this.timelines.get(id), (id) => this.refresh(id));
    this.connection = connect({
      onState: () => this.#changed(),
      onOnline: (recovered) => this.#onOnline(recovered),
      onEvent: (name, payload) => this.#sync.event(name, payload),
      onRefused: handlers.onRefused,
    });
    this.outbox = new Outbox(this.connection, (message) => this.#acknowledged(message), () => this.#changed());
    this.typing = new TypingSignal(this.connection);
    this.#marks = new ReadMarks(this.connection);
    this.#attendance = new Attendance(this.connection, this.#stopped.signal);
  }

  /** By conversation; only of those that were opened. */
  get timelines() {
    return this.#history.timelines;
  }

  /** How the last return of the connection went; see sync.js. */
  get comeback() {
    return this.#sync.comeback;
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

  /** The page may be gone in a moment. */
  leaving() {
    this.typing.stop();
    this.#marks.flush();
  }

  stop() {
    this.leaving();
    this.#stopped.abort();
    this.connection.stop();
    this.typists.clear();
    clearTimeout(this.#recountTimer);
  }

  // ---- What the user does --------------------------------------------------------------------------

  open(id) {
    if (id !== this.openId) this.typing.stop();
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

  /** Changes the text of one's own message. */
  async edit(message, content) {
    const { content: stored, updatedAt, editedAt } = await this.#rest.editMessage(message._id, content);
    this.#change(message.conversationId, message._id, { content: stored, updatedAt, editedAt });
  }

  /** Deletes one's own message. */
  async remove(message) {
    await this.#rest.deleteMessage(message._id);
    this.#change(message.conversationId, message._id, { ...TOMBSTONE });
  }

  /** One's own newest message of the open conversation. */
  lastOwn() {
    const own = (message) => message.sender._id === this.#me._id && !message.isDeleted && message.content !== "";
    return this.timelines.get(this.openId)?.messages.findLast(own);
  }

  /** Messages of the open conversation up to `seq` are before the user's eyes. */
  seen(seq) {
    const conversation = this.conversations.get(this.openId);
    const timeline = this.timelines.get(this.openId);
    // With a gap before it, something unread is not on the screen yet.
    if (!conversation?.unreadCount || !timeline?.loaded || timeline.top < conversation.counted) return;
    if (document.visibilityState !== "visible") return;
    const before = timeline.messages.slice(0, timeline.indexAfter(seq));
    const last = before.findLast((message) => !message.isDeleted);
    if (!last || last.seq <= conversation.read) return;
    this.#marks.mark(this.openId, last);
    this.#unread.readUpTo(conversation, last.seq);
    this.#changed();
  }

  /** Loads the page of messages before the first one of the open conversation. */
  loadOlder() {
    return this.#history.loadOlder(this.openId);
  }

  /** The page came into view again. */
  onVisible() {
    this.connection.hurry();
    this.#changed();
  }

  /** Asks for one conversation anew: all its participants, what they are now, and how much is unread. */
  refresh(id) {
    return this.#sync.one(id);
  }

  // ---- Conversations -------------------------------------------------------------------------------

  #merge(update) {
    const known = this.conversations.get(update._id);
    const { fresh, ...counts } = known ?? this.#unread.counted(undefined, { unreadCount: 0, ...update });
    const { counted, read, unreadCount } = counts;
    const lastMessage = newest(known?.lastMessage, update.lastMessage);
    const whole = update.participants.length === update.participantCount;
    // An event names some of a large group: those who are known already stay until it is opened.
    const participants = whole || !known ? update.participants : known.participants;
    const merged = { ...update, participants, whole, counted, read, unreadCount, fresh, lastMessage };
    this.conversations.set(update._id, merged);
    this.presence.learn(update.participants);
    this.#changed();
    return update._id;
  }

  #forget(id) {
    this.conversations.delete(id);
    this.timelines.delete(id);
    this.outbox.discard(id);
    this.receipts.forget(id);
    this.typists.clear(id);
    this.#marks.forget(id);
    if (this.openId === id) this.#handlers.onClosed();
    this.#changed();
  }

  async #load(id) {
    const conversation = this.conversations.get(id);
    if (!conversation.whole) this.refresh(id);
    else if (conversation.type === "direct") this.presence.ask(this.#rest, conversation, this.#me).then(() => this.#changed());
    await this.#history.load(id);
    this.#changed();
  }

  // ---- Events --------------------------------------------------------------------------------------

  #apply(name, payload) {
    if (name === "message:new") this.#applyMessage(payload);
    else if (name === "message:update") this.#applyEdit(payload);
    else if (name === "message:delete") this.#applyDelete(payload);
    else if (name === "message:read") this.#applyRead(payload);
    else if (name === "conversation:update") this.#applyUpdate(payload);
    else if (name === "conversation:typing") this.#applyTyping(payload);
    else if (name === "user:status") this.presence.apply(payload);
    this.#changed();
  }

  #applyUpdate(update) {
    if (!update.isActive) {
      this.#forget(update._id);
      return;
    }
    const known = this.conversations.get(update._id);
    // Of a conversation that others made, the last message and the unread count are still to be asked for.
    if (!known) this.#sync.soon();
    if (known?.whole) {
      const before = new Set(known.participants.map((user) => user._id));
      const joined = update.participants.filter((user) => !before.has(user._id));
      for (const { _id } of joined) this.receipts.joined(update._id, _id, known.counted);
    }
    this.#merge(update);
  }

  #applyMessage(message) {
    const conversation = this.conversations.get(message.conversationId);
    if (!conversation) {
      this.#sync.soon();
      return;
    }
    this.typists.stopped(message.conversationId, message.sender._id);
    if (this.#unread.arrived(conversation, message)) this.#handlers.onArrival(message, conversation);
    this.#place(message, conversation);
  }

  #applyEdit({ conversationId, messageId, content, updatedAt, editedAt }) {
    this.#change(conversationId, messageId, { content, updatedAt, editedAt });
  }

  #applyDelete({ conversationId, messageId, seq, userId, deletedAt }) {
    this.#change(conversationId, messageId, { ...TOMBSTONE, updatedAt: deletedAt });
    const conversation = this.conversations.get(conversationId);
    if (conversation && userId !== this.#me._id) this.#unread.deleted(conversation, seq);
  }

  #applyRead(read) {
    const conversation = this.conversations.get(read.conversationId);
    if (!conversation) return;
    if (read.userId === this.#me._id) {
      this.#unread.readUpTo(conversation, read.seq);
      return;
    }
    this.receipts.apply(read);
    const large = conversation.participants.length > SMALL || !conversation.whole;
    if (large && read.conversationId === this.openId) this.#recountSoon(this.openId);
  }

  #applyTyping(typing) {
    if (typing.userId !== this.#me._id && this.conversations.has(typing.conversationId)) this.typists.apply(typing);
  }

  /** In a large group an event tells that somebody has read, but not who else. */
  #recountSoon(id) {
    this.#recountTimer ??= setTimeout(() => {
      this.#recountTimer = null;
      if (id === this.openId) this.#history.recount(id);
    }, RECOUNT_MS);
  }

  /** Puts a committed message where it belongs, and takes it out of the outbox if it came from there. */
  #place(message, conversation) {
    if (message.clientMessageId && message.sender._id === this.#me._id) {
      this.outbox.settle(message.clientMessageId);
    }
    conversation.lastMessage = newest(conversation.lastMessage, message);
    const timeline = this.timelines.get(message.conversationId);
    timeline?.add(message);
    if (timeline?.hasGap) this.#history.fillSoon(message.conversationId);
    this.#changed();
  }

  #acknowledged(message) {
    const conversation = this.conversations.get(message.conversationId);
    if (conversation) this.#place(message, conversation);
  }

  /** Changes a message wherever it is shown. */
  #change(conversationId, messageId, fields) {
    this.timelines.get(conversationId)?.change(messageId, fields);
    const conversation = this.conversations.get(conversationId);
    const last = conversation?.lastMessage;
    if (last?._id === messageId) conversation.lastMessage = newer(last, { ...last, ...fields });
    this.#changed();
  }

  /** Messages have come by REST. */
  #paged(id, page) {
    this.receipts.absorb(id, page);
    for (const { clientMessageId, sender } of page) {
      if (clientMessageId && sender._id === this.#me._id) this.outbox.settle(clientMessageId);
    }
    this.#changed();
  }

  // ---- Catching up ---------------------------------------------------------------------------------

  #onOnline(recovered) {
    this.typists.clear();
    this.outbox.resend();
    this.#marks.resend();
    this.#attendance.connected();
    this.#sync.online(recovered);
  }

  async #finishSync() {
    const id = this.openId;
    if (id !== null && !this.conversations.has(id)) this.#handlers.onClosed();
    else if (id !== null) this.#load(id);
    await this.#history.catchUp();
  }

  async #loadList() {
    const before = [...this.conversations.keys()];
    const list = await this.#rest.conversations();
    const listed = new Set(list.map((conversation) => conversation._id));
    for (const conversation of list) {
      const known = this.conversations.get(conversation._id);
      const lastMessage = newest(known?.lastMessage, conversation.lastMessage);
      const whole = conversation.participants.length === conversation.participantCount;
      const counts = this.#unread.counted(known, conversation);
      this.conversations.set(conversation._id, { ...conversation, whole, lastMessage, ...counts });
      this.presence.learn(conversation.participants);
      if (conversation.lastMessage) this.receipts.absorb(conversation._id, [conversation.lastMessage]);
    }
    // One that was made while the list was on its way is not in it; it was not known before either.
    for (const id of before) {
      if (!listed.has(id)) this.#forget(id);
    }
    this.ready = true;
  }

  /** Resolves with whether the answer can be relied on. */
  async #ask(id) {
    const conversation = this.conversations.get(id);
    if (!conversation) return true;
    const readBefore = this.#unread.asked(conversation);
    const { messages: _, unreadCount, ...answer } = await this.#rest.conversation(id);
    if (!this.conversations.has(id)) return true;
    this.#merge(answer);
    return this.#unread.answered(this.conversations.get(id), readBefore, { ...answer, unreadCount });
  }

  #changed() {
    if (!this.#stopped.signal.aborted) this.#handlers.onChange();
  }
}

/** What is left of a deleted message. */
const TOMBSTONE = { isDeleted: true, content: "", attachmentUrl: undefined, editedAt: undefined };

function newest(a, b) {
  if (!a || !b) return a ?? b ?? null;
  if (a.seq === b.seq) return newer(a, b);
  return b.seq > a.seq ? b : a;
}
