// Where one writes: a new message, or the new text of an old one.

import { byId } from "./dom.js";

export class Composer {
  #chat;
  #onSent;
  #field = byId("composer");
  #conversationId = null;
  #drafts = new Map();
  /** The message whose text is being changed, and what was being written before. */
  #edited = null;
  #setAside = "";

  /** @param onSent called after a message went into the outbox */
  constructor(chat, onSent) {
    this.#chat = chat;
    this.#onSent = onSent;
    byId("compose").onsubmit = (event) => this.#submit(event);
    byId("edit-cancel").onclick = () => this.cancel();
    this.#field.oninput = () => this.#onInput();
    this.#field.onkeydown = (event) => this.#onKey(event);
    this.#show(null, "");
  }

  /** Goes on with what was being written in another conversation. */
  switchTo(conversationId) {
    if (this.#edited) this.cancel();
    if (this.#conversationId) this.#drafts.set(this.#conversationId, this.#field.value);
    this.#conversationId = conversationId;
    this.#show(null, this.#drafts.get(conversationId) ?? "");
  }

  /** Begins to change a message. */
  edit(message) {
    if (!this.#edited) this.#setAside = this.#field.value;
    this.#show(message, message.content);
    this.#field.focus();
    this.#field.setSelectionRange(message.content.length, message.content.length);
  }

  cancel() {
    this.#show(null, this.#setAside);
    this.#setAside = "";
    this.#field.focus();
  }

  #show(edited, text) {
    this.#edited = edited;
    this.#field.value = text;
    byId("editing").hidden = !edited;
    byId("compose").dataset.editing = Boolean(edited);
    this.#field.setAttribute("aria-label", edited ? "Change the message" : "Write a message");
    fitHeight(this.#field);
  }

  #onInput() {
    fitHeight(this.#field);
    if (this.#edited) return;
    if (this.#field.value) this.#chat.typing.key(this.#conversationId);
    else this.#chat.typing.stop();
  }

  #onKey(event) {
    // While an input method composes a word, its keys belong to it.
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      this.#submit(event);
    } else if (event.key === "Escape" && this.#edited) {
      this.cancel();
    } else if (event.key === "ArrowUp" && !this.#edited && !this.#field.value) {
      const last = this.#chat.lastOwn();
      if (!last) return;
      event.preventDefault();
      this.edit(last);
    }
  }

  #submit(event) {
    event.preventDefault();
    const content = this.#field.value.trim();
    if (!content) return;
    if (this.#edited) {
      this.#save(this.#edited, content);
      return;
    }
    this.#field.value = "";
    this.#field.focus();
    fitHeight(this.#field);
    this.#chat.typing.stop();
    this.#chat.outbox.send(this.#conversationId, content);
    this.#onSent();
  }

  async #save(message, content) {
    if (content === message.content) {
      this.cancel();
      return;
    }
    byId("edit-error").textContent = "";
    byId("send").disabled = true;
    try {
      await this.#chat.edit(message, content);
      if (this.#edited === message) this.cancel();
    } catch (error) {
      byId("edit-error").textContent = error.explanation;
    } finally {
      byId("send").disabled = false;
    }
  }
}

/** As high as its text, up to what the style sheet allows. */
function fitHeight(textarea) {
  textarea.style.height = "auto";
  textarea.style.height = `${textarea.scrollHeight}px`;
}
