// The left pane: connection state, conversations, and who is signed in.

import { KeyedList, avatar, byId, element } from "./dom.js";
import { others, previewOf, shortTime, titleOf } from "./text.js";

const STATES = { connecting: "Connecting…", online: "Online", reconnecting: "Reconnecting…", offline: "Offline" };

/** The picture of a conversation: the other person's, or the group's. */
export function conversationAvatar(conversation, me) {
  const [other = me] = others(conversation, me);
  if (conversation.type === "group") return avatar({ id: conversation._id, name: "", group: true });
  return avatar({ id: other._id, name: other.name, picture: other.avatar });
}

export class Sidebar {
  #me;
  #list;

  /** @param onOpen called with the id of the conversation that was chosen */
  constructor(me, onOpen) {
    this.#me = me;
    this.#list = new KeyedList(byId("conversations"), ({ conversation, open }) => this.#row(conversation, open, onOpen));
    byId("me-name").textContent = me.name;
    byId("me-avatar").replaceChildren(avatar({ id: me._id, name: me.name, picture: me.avatar }));
  }

  render(chat) {
    const state = byId("connection");
    if (state.dataset.state !== chat.connectionState) {
      state.dataset.state = chat.connectionState;
      state.textContent = STATES[chat.connectionState];
    }
    const items = chat.list.map((conversation) => this.#item(conversation, chat.openId));
    this.#list.update(items);
    byId("no-conversations").hidden = !chat.ready || items.length > 0;
    const unread = chat.totalUnread;
    document.title = unread > 0 ? `(${unread}) LinkUp` : "LinkUp";
  }

  #item(conversation, openId) {
    const open = conversation._id === openId;
    // Everything that the row shows; a time of day turns into a weekday when its day is over.
    const signature = JSON.stringify([
      titleOf(conversation, this.#me),
      previewOf(conversation, this.#me),
      conversation.lastMessage && shortTime(conversation.lastMessage.createdAt),
      conversation.unreadCount,
      conversation.type === "group" || others(conversation, this.#me)[0]?.avatar,
      open,
    ]);
    return { key: conversation._id, signature, conversation, open };
  }

  #row(conversation, open, onOpen) {
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
      element("span", { className: "row-title" }, titleOf(conversation, this.#me)),
      lastMessage &&
        element("time", { className: "row-time", dateTime: lastMessage.createdAt }, shortTime(lastMessage.createdAt)),
      element("span", { className: "row-preview" }, previewOf(conversation, this.#me)),
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
