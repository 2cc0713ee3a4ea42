// How many messages of each conversation are unread, over all of a user's tabs.
//
// Beside `unreadCount` a conversation has `counted`, the `seq` up to which it counts, and `read`, the `seq` up to which
// nothing is unread (-1 where that is not known). What the server says starts it; each event moves it on. Where an event leaves it
// open, the server is asked again.

const MOST = 999;

export class Unread {
  #me;
  #timelineOf;
  #onDoubt;

  /**
   * @param timelineOf the loaded messages of a conversation, or undefined
   * @param onDoubt called with the id of a conversation that the server has to count
   */
  constructor(me, timelineOf, onDoubt) {
    this.#me = me;
    this.#timelineOf = timelineOf;
    this.#onDoubt = onDoubt;
  }

  /** What the server counted, in the light of what was read since it was asked. */
  counted(known, answer) {
    const counted = answer.lastMessage?.seq ?? 0;
    const read = Math.max(known?.read ?? -1, answer.unreadCount === 0 ? counted : -1);
    return { counted, read, unreadCount: read >= counted ? 0 : answer.unreadCount };
  }

  /** The server is asked to count one conversation: what comes from now on may or may not be in its answer. */
  asked(conversation) {
    conversation.fresh = [];
    return conversation.read;
  }

  /** Its answer; false if it is not to be relied on, since the user has read on meanwhile. */
  answered(conversation, readBefore, answer) {
    const { fresh } = conversation;
    conversation.fresh = null;
    if (!fresh || conversation.read !== readBefore) return false;
    const { counted, read, unreadCount } = this.counted(conversation, answer);
    const later = fresh.filter((seq) => seq > counted).length;
    conversation.counted = Math.max(counted, conversation.counted);
    conversation.read = read;
    conversation.unreadCount = Math.min(unreadCount + later, MOST);
    return true;
  }

  /** A message came. Returns whether it is a new one of somebody else. */
  arrived(conversation, message) {
    if (message.seq <= conversation.counted) return false;
    if (conversation.unreadCount === 0) conversation.read = Math.max(conversation.read, conversation.counted);
    conversation.counted = message.seq;
    if (message.sender._id === this.#me._id) return false;
    conversation.fresh?.push(message.seq);
    conversation.unreadCount = Math.min(conversation.unreadCount + 1, MOST);
    return true;
  }

  /** The user has read up to `seq`, here or elsewhere. */
  readUpTo(conversation, seq) {
    if (seq <= conversation.read) return;
    conversation.read = seq;
    this.#recount(conversation);
  }

  /** A message of somebody else was deleted: it does not count any more, if it did. */
  deleted(conversation, seq) {
    if (seq > conversation.read && seq <= conversation.counted) this.#recount(conversation);
  }

  #recount(conversation) {
    if (conversation.unreadCount === 0) return;
    const count = this.#count(conversation);
    if (count === undefined) this.#onDoubt(conversation._id);
    else conversation.unreadCount = Math.min(count, MOST);
  }

  /** How many are unread, if all that may be are here. */
  #count({ _id, read, counted }) {
    if (read >= counted) return 0;
    const timeline = this.#timelineOf(_id);
    if (!timeline?.loaded || read < 0 || timeline.top < counted) return undefined;
    if (timeline.hasOlder && timeline.messages[0].seq > read + 1) return undefined;
    const after = timeline.messages.slice(timeline.indexAfter(read));
    return after.filter((message) => message.sender._id !== this.#me._id && !message.isDeleted).length;
  }
}
