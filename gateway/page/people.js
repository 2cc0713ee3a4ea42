// Finding people: the search in the sidebar, and the dialog in which groups are made and changed.

import { avatar, byId, element, presenceDot } from "./dom.js";
import { presenceText } from "./text.js";

const LIMIT = 20;
const TYPING_PAUSE_MS = 200;

/** A search field with its list of results. */
export class PeopleSearch {
  #input;
  #results;
  #options;
  #timer;
  #latest = 0;
  /** The text that the results on the screen belong to. */
  #answered = "";

  /**
   * @param options `{rest, testid, excluded() -> ids that are not offered, onPick(user), onToggle(searching)}`
   */
  constructor(input, results, options) {
    this.#input = input;
    this.#results = results;
    this.#options = options;
    input.oninput = () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#search(), TYPING_PAUSE_MS);
    };
    input.onkeydown = (event) => this.#onKey(event);
    results.onkeydown = (event) => this.#onKey(event);
    this.clear();
  }

  clear() {
    clearTimeout(this.#timer);
    this.#latest += 1;
    this.#input.value = "";
    this.#show(null);
  }

  async #search() {
    const text = this.#input.value.trim();
    const search = ++this.#latest;
    if (!text) {
      this.#show(null);
      return;
    }
    let rows;
    try {
      const excluded = new Set(this.#options.excluded());
      const users = await this.#options.rest.users(text, LIMIT);
      rows = users.filter((user) => !excluded.has(user._id)).map((user) => this.#row(user));
      if (rows.length === 0) rows = [remark(`Nobody found for “${text}”.`)];
    } catch (error) {
      rows = [remark(error.explanation)];
    }
    // Answers may overtake each other; only the last question counts.
    if (search !== this.#latest) return;
    this.#answered = text;
    this.#show(rows);
  }

  #show(rows) {
    this.#results.replaceChildren(...(rows ?? []));
    this.#results.hidden = rows === null;
    this.#options.onToggle?.(rows !== null);
  }

  #row(user) {
    const pick = () => {
      this.clear();
      this.#options.onPick(user);
    };
    const data = { testid: this.#options.testid, "user-id": user._id };
    return element(
      "li",
      {},
      element("button", { type: "button", className: "person", data, onclick: pick }, ...face(user, user.username, user)),
    );
  }

  #takeFirst(buttons) {
    // While the answer to what was typed last is on its way, the list still shows somebody else.
    if (this.#input.value.trim() === this.#answered) buttons[0]?.click();
  }

  /** The arrows walk through the results, Escape ends the search, Enter takes the first one. */
  #onKey(event) {
    if (event.isComposing) return;
    const buttons = [...this.#results.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    if (event.key === "ArrowDown") (buttons[at + 1] ?? buttons[at])?.focus();
    else if (event.key === "ArrowUp") (buttons[at - 1] ?? this.#input).focus();
    else if (event.key === "Enter" && at < 0) this.#takeFirst(buttons);
    else if (event.key === "Escape" && !this.#results.hidden) {
      this.clear();
      this.#input.focus();
    } else return;
    event.preventDefault();
  }
}

/** The dialog for a new group, or for an existing one. */
export class GroupDialog {
  #me;
  #chat;
  #dialog = byId("group-dialog");
  #search;
  #onOpen;
  #onNotice;
  /** The group being changed; null for a new one. */
  #group = null;
  #members = [];

  /** @param onOpen called with the id of a group that was made */
  constructor(me, rest, chat, onOpen, onNotice) {
    this.#me = me;
    this.#chat = chat;
    this.#onOpen = onOpen;
    this.#onNotice = onNotice;
    this.#search = new PeopleSearch(byId("group-search"), byId("group-results"), {
      rest,
      testid: "group-candidate",
      excluded: () => this.#members.map((user) => user._id),
      onPick: (user) => this.#add(user),
    });
    byId("group-close").onclick = () => this.close();
    this.#dialog.onclose = () => (this.#group = null);
    byId("group-leave").onclick = () => this.#leave();
    byId("group-form").onsubmit = (event) => {
      event.preventDefault();
      this.#save();
    };
  }

  /** Shows the dialog for the conversation, or for a new group. */
  show(conversation = null) {
    this.#group = conversation;
    this.#members = conversation?.participants ?? [this.#me];
    this.#search.clear();
    this.#error("");
    const ours = !conversation || conversation.createdBy === this.#me._id;
    byId("group-heading").textContent = conversation ? "Group" : "New group";
    byId("group-name").value = conversation?.name ?? "";
    byId("group-name").readOnly = !ours;
    byId("group-leave").hidden = !conversation;
    byId("group-submit").hidden = !ours;
    byId("group-submit").textContent = conversation ? "Save name" : "Create group";
    this.#renderMembers();
    this.#dialog.showModal();
    // Of people in a group only, nobody tells when they come and go: they are asked for.
    if (conversation) this.#chat.refresh(conversation._id);
  }

  close() {
    this.#dialog.close();
  }

  /** Shows the members anew after others have changed them; closes with a group that is gone. */
  refresh() {
    if (!this.#group) return;
    const current = this.#chat.conversations.get(this.#group._id);
    if (!current) {
      this.close();
    } else if (current.participants !== this.#members) {
      this.#group = current;
      this.#members = current.participants;
      this.#renderMembers();
    }
  }

  #renderMembers() {
    const removable = !this.#group || this.#group.createdBy === this.#me._id;
    const rows = this.#members.map((user) => {
      const self = user._id === this.#me._id;
      const remove = { type: "button", className: "link", onclick: () => this.#remove(user) };
      return element(
        "li",
        { className: "person", data: { testid: "group-member", "user-id": user._id } },
        ...face(user, self ? "you" : "", self ? undefined : user),
        removable && !self && element("button", { ...remove, aria: { label: `Remove ${user.name}` } }, "Remove"),
      );
    });
    byId("group-members").replaceChildren(...rows);
  }

  #add(user) {
    byId("group-search").focus();
    return this.#setMembers([...this.#members, user]);
  }

  #remove(user) {
    return this.#setMembers(this.#members.filter((member) => member._id !== user._id));
  }

  /** An existing group changes at once; a new one when it is made. */
  async #setMembers(members) {
    if (this.#group) {
      await this.#change({ participants: ids(members) });
    } else {
      this.#members = members;
      this.#renderMembers();
    }
  }

  async #save() {
    const name = byId("group-name").value.trim();
    if (this.#group) {
      if (await this.#change({ name })) this.close();
    } else if (this.#members.length < 3) {
      this.#error("Add at least two people; with one, it is a conversation between two.");
    } else {
      await this.#attempt(async () => {
        const id = await this.#chat.start(ids(this.#members), name);
        this.close();
        this.#onOpen(id);
      });
    }
  }

  async #leave() {
    const { name } = this.#group;
    if (!confirm("Leave this group? Only a member can add you again.")) return;
    const rest = this.#members.filter((user) => user._id !== this.#me._id);
    if (await this.#change({ participants: ids(rest) })) this.#onNotice(`You have left ${name ?? "the group"}.`);
  }

  async #change(change) {
    // Of a list that is cut short, whoever is not in it would be removed.
    const { _id } = this.#group;
    if (change.participants && this.#chat.conversations.get(_id)?.whole === false) {
      this.#chat.refresh(_id);
      this.#error("The list of members is still on its way. Please try again.");
      return false;
    }
    const done = await this.#attempt(() => this.#chat.update(_id, change));
    this.refresh();
    return done;
  }

  async #attempt(action) {
    this.#error("");
    byId("group-submit").disabled = true;
    try {
      await action();
      return true;
    } catch (error) {
      this.#error(error.explanation);
      return false;
    } finally {
      byId("group-submit").disabled = false;
    }
  }

  #error(text) {
    byId("group-error").textContent = text;
    byId("group-error").hidden = !text;
  }
}

const ids = (users) => users.map((user) => user._id);

/** Somebody in a list; with the `presence` that is told of them. */
function face(user, remarkText, presence) {
  const words = presence?.status ? presenceText(presence) : "";
  return [
    avatar({ id: user._id, name: user.name, picture: user.avatar }),
    words && presenceDot(presence.status, words),
    element("span", { className: "person-name" }, user.name),
    remarkText && element("span", { className: "person-remark" }, remarkText),
  ].filter(Boolean);
}

function remark(text) {
  return element("li", { className: "remark" }, text);
}
