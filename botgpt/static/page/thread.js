/** The messages of the conversation that is open, and where it is scrolled to. */

import { announce, byId, order } from "./elements.js";
import { MessageView } from "./message_view.js";

/**
 * @typedef {import("./conversation.js").Conversation} Conversation
 * @typedef {import("./message_view.js").Acts} Acts
 */

// Pixels from the end within which a reader is taken to follow.
const NEAR = 80;

export class Thread {
  /**
   * @param {import("./citations.js").Citations} citations
   * @param {Acts & {earlier: () => Promise<void>}} acts
   */
  constructor(citations, acts) {
    this.citations = citations;
    this.acts = acts;
    this.scroller = byId("messages");
    this.list = byId("message-list");
    this.jump = byId("jump");
    /** @type {MessageView[]} */
    this.views = [];
    this.following = true;
    this.due = false;
    this.said = "";
    this.scroller.addEventListener("scroll", () => this.#look());
    this.jump.addEventListener("click", () => this.toEnd());
    byId("earlier").addEventListener("click", () => this.#showEarlier());
  }

  /**
   * Shows another conversation.
   * @param {Conversation} conversation
   */
  open(conversation) {
    this.views = [];
    this.list.replaceChildren();
    this.said = "";
    this.following = true;
    this.show(conversation);
  }

  /** @param {Conversation} conversation */
  show(conversation) {
    const { messages } = conversation;
    const busy = conversation.answering !== null;
    const former = new Map(this.views.map((view) => [view.message?.id, view]));
    this.views = messages.map((message, at) => {
      const view = (message.id && former.get(message.id))
        || new MessageView(this.acts, this.citations);
      view.show(message, busy, at === messages.length - 1);
      return view;
    });
    order(this.list, this.views.map((view) => view.place));
    byId("earlier").hidden = conversation.earlier === 0;
    byId("empty").hidden = messages.length > 0;
    this.#tellState(conversation);
    this.#follow();
  }

  /** The answer under way has more words: they are shown with the next picture. */
  grow() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.views.at(-1)?.grow();
      this.#follow();
    });
  }

  toEnd() {
    this.following = true;
    this.#follow();
  }

  /**
   * Brings a message into sight.
   * @param {string} id
   */
  reveal(id) {
    const place = document.getElementById(`message-${id}`);
    if (!place) return;
    this.following = false;
    place.scrollIntoView({ block: "center" });
    place.classList.add("found");
    setTimeout(() => place.classList.remove("found"), 2500);
  }

  async #showEarlier() {
    const before = this.scroller.scrollHeight - this.scroller.scrollTop;
    this.following = false;
    await this.acts.earlier();
    this.scroller.scrollTop = this.scroller.scrollHeight - before;
  }

  /** @param {Conversation} conversation */
  #tellState(conversation) {
    const last = conversation.messages.at(-1);
    const state = !last || last.role === "user" ? "" : `${last.id} ${last.status}`;
    if (state === this.said) return;
    const first = this.said === "";
    this.said = state;
    if (last?.status === "pending") announce("The answer is being written.");
    else if (!first && last?.status === "completed") announce("The answer is complete.");
    else if (!first && last?.status === "cancelled") announce("Stopped.");
  }

  #follow() {
    if (this.following) this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#look();
  }

  #look() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    this.following = scrollHeight - scrollTop - clientHeight < NEAR;
    this.jump.hidden = this.following;
  }
}
