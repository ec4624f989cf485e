/** Where questions are written, with what they will be answered from. */

import { byId } from "./elements.js";

/** @typedef {"open_chat"|"grounded_rag"} Mode */

const HIGHEST = 240; // pixels; a longer question scrolls

export class Composer {
  /**
   * @param {{send: (content: string) => void, stop: () => void,
   *   choose: () => void, mode: (mode: Mode) => void}} acts
   */
  constructor(acts) {
    this.acts = acts;
    this.form = byId("composer");
    this.field = byId("question");
    this.sendButton = byId("send");
    this.stopButton = byId("stop");
    this.busy = false;
    this.#listen();
    this.#fit();
  }

  /** What is written. */
  get text() {
    return this.field.value;
  }

  set text(text) {
    this.field.value = text;
    this.#fit();
  }

  focus() {
    this.field.focus();
  }

  /** @param {boolean} busy whether an answer is under way: then it can be stopped, not sent */
  setBusy(busy) {
    const hadFocus = document.activeElement === this.sendButton
      || document.activeElement === this.stopButton;
    this.busy = busy;
    this.sendButton.hidden = busy;
    this.stopButton.hidden = !busy;
    if (hadFocus) this.field.focus();
    this.#fit();
  }

  /**
   * @param {Mode} mode
   * @param {boolean} fixed whether the conversation has begun, after which it stays
   * @param {string} source what grounded answers come from, in words
   */
  setMode(mode, fixed, source) {
    for (const radio of this.form.elements.mode) {
      radio.checked = radio.value === mode;
      radio.disabled = fixed;
    }
    byId("modes").hidden = fixed;
    byId("fixed-mode").hidden = !fixed || mode === "grounded_rag";
    const button = byId("source");
    button.hidden = mode !== "grounded_rag";
    byId("source-text").textContent = source;
    this.field.placeholder = mode === "grounded_rag" ? "Ask your documents" : "Ask anything";
  }

  #listen() {
    this.field.addEventListener("input", () => this.#fit());
    this.field.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    this.form.addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#send();
    });
    this.stopButton.addEventListener("click", () => this.acts.stop());
    byId("source").addEventListener("click", () => this.acts.choose());
    for (const radio of this.form.elements.mode) {
      radio.addEventListener("change", () => this.acts.mode(radio.value));
    }
  }

  #send() {
    const content = this.text;
    if (this.busy || !content.trim()) return;
    this.text = "";
    this.acts.send(content);
  }

  /** As high as what is written, within bounds. */
  #fit() {
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(HIGHEST, this.field.scrollHeight)}px`;
    this.sendButton.disabled = !this.text.trim();
  }
}
