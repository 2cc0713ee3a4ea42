// The left pane: conversations, and who is signed in.

import { KeyedList, avatar, byId, element, presenceDot } from "./dom.js";
import { others, presenceText, previewOf, shortTime, titleOf, typingText } from "./text.js";

/** The picture of a conversation: the other person's, or the group's. */
export function conversationAvatar(conversation, me) {
  const [other = me] = others(conversation, me);
  if (conversation.type === "group") return avatar({ id: conversation._id, name: "", group: true });
  return avatar({ id: other._id, name: other.name, picture: other.avatar });
}

/** What the other person of a direct conversation is now, where that is told. */
export function partnerPresence(conversation, me, presence) {
  const [other] = others(conversation, me);
  // Without a status in the conversation it is not for us to know, wherever else it was told.
  return conversation.type === "direct" && other?.status ? presence.of(other._id) : undefined;
}

/** Who is typing in a conversation, in words; empty if nobody is. */
export function typingIn(chat, conversation, me) {
  const ids = chat.typists.in(conversation._id);
  if (ids.length === 0) return "";
  const names = new Map(others(conversation, me).map((user) => [user._id, user.name]));
  return typingText(ids.map((id) => names.get(id) ?? "Somebody"));
}

export class Sidebar {
  #me;
  #list;

  /** @param onOpen called with the id of the conversation that was chosen */
  constructor(me, onOpen) {
    this.#me = me;
    this.#list = new KeyedList(byId("conversations"), (item) => this.#row(item, onOpen));
    byId("me-name").textContent = me.name;
    byId("me-avatar").replaceChildren(avatar({ id: me._id, name: me.name, picture: me.avatar }));
  }

  render(chat) {
    const items = chat.list.map((conversation) => this.#item(conversation, chat));
    this.#list.update(items);
    byId("no-conversations").hidden = !chat.ready || items.length > 0;
    const unread = chat.totalUnread;
    document.title = unread > 0 ? `(${unread}) LinkUp` : "LinkUp";
  }

  #item(conversation, chat) {
    const open = conversation._id === chat.openId;
    const typing = typingIn(chat, conversation, this.#me);
    const presence = partnerPresence(conversation, this.#me, chat.presence);
    // Everything that the row shows; a time of day turns into a weekday when its day is over.
    const signature = JSON.stringify([
      titleOf(conversation, this.#me),
      previewOf(conversation, this.#me),
      conversation.lastMessage && shortTime(conversation.lastMessage.createdAt),
      conversation.unreadCount,
      conversation.type === "group" || others(conversation, this.#me)[0]?.avatar,
      typing,
      presenceText(presence),
      open,
    ]);
    return { key: conversation._id, signature, conversation, open, typing, presence };
  }

  #row({ conversation, open, typing, presence }, onOpen) {
    const { lastMessage, unreadCount } = conversation;
    const row = element(
      "button",
      {
        type: "button",
        className: "conversation",
        data: { testid: "conversation", "conversation-id": conversation._id },
        aria: { current: open },
        onclick: () => onOpen(conversation._id),
      },
      conversationAvatar(conversation, this.#me),
      presence ? presenceDot(presence.status, presenceText(presence)) : null,
      element("span", { className: "row-title" }, titleOf(conversation, this.#me)),
      lastMessage &&
        element("time", { className: "row-time", dateTime: lastMessage.createdAt }, shortTime(lastMessage.createdAt)),
      element(
        "span",
        { className: typing ? "row-preview row-typing" : "row-preview", data: { testid: "preview" } },
        typing || previewOf(conversation, this.#me),
      ),
      unreadCount > 0 && unreadBadge(unreadCount),
    );
    return element("li", {}, row);
  }
}

function unreadBadge(count) {
  return element(
    "span",
    { className: "badge", data: { testid: "unread-badge" } },
    count > 99 ? "99+" : String(count),
    element("span", { className: "visually-hidden" }, " unread"),
  );
}
