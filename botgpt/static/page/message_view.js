/** One message as it is shown, with what can be done to it. */

import { copyButton } from "./code.js";
import { element, icon, iconButton } from "./elements.js";
import { Prose } from "./markdown.js";

/**
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./citations.js").Citations} Citations
 *
 * What a view asks for when its buttons are pressed.
 * @typedef {object} Acts
 * @property {(message: Message, content: string) => void} edit
 * @property {(message: Message) => void} regenerate
 * @property {(message: Message) => void} retry
 * @property {(messageId: string) => void} activate
 */

const GROUNDING = {
  answered: "from your documents",
  partial: "your documents answer this in part",
  no_evidence: "not found in your documents",
};
const BROKEN = {
  cancelled: "Stopped.",
  interrupted: "The server stopped before the end of this answer.",
  failed: "This answer failed.",
};
const CUT = "The answer reached its greatest length. Ask it to go on.";

export class MessageView {
  /**
   * @param {Acts} acts
   * @param {Citations} citations
   */
  constructor(acts, citations) {
    this.acts = acts;
    this.citations = citations;
    this.place = element("li");
    this.key = "";
  }

  /**
   * @param {Message} message
   * @param {boolean} busy whether an answer is under way, so that nothing else can be asked
   * @param {boolean} newest
   */
  show(message, busy, newest) {
    this.message = message;
    const key = JSON.stringify([message, busy, newest]);
    if (key === this.key) return;
    this.key = key;
    this.place.className = `message ${message.role} ${message.status}`;
    this.place.id = message.id && `message-${message.id}`;
    if (message.role === "user") this.#showQuestion(message, busy);
    else this.#showAnswer(message, busy, newest);
  }

  /** The answer under way has more words. */
  grow() {
    const message = /** @type {Message} */ (this.message);
    if (this.waiting) this.waiting.hidden = message.content !== "";
    if (this.waitingText && message.passages !== undefined) {
      this.waitingText.textContent = found(message.passages);
    }
    this.prose?.show(message.content, this.citations.marks(message));
  }

  /** @param {Message} message @param {boolean} busy */
  #showQuestion(message, busy) {
    this.place.replaceChildren(
      element("h2", { class: "visually-hidden" }, "You asked"),
      element("div", { class: "bubble", dir: "auto" }, message.content),
      message.id && element("div", { class: "actions" },
        this.#branches(message, busy),
        copyButton("Copy the question", () => message.content),
        iconButton("Ask in other words", "edit", () => this.#edit(message), { disabled: busy })));
  }

  /** @param {Message} message */
  #edit(message) {
    const field = element("textarea", { "aria-label": "The question in other words", rows: 3,
      dir: "auto", maxlength: 32000 });
    field.value = message.content;
    const done = () => {
      this.key = "";
      this.#showQuestion(message, false);
      this.place.querySelector(".actions button:last-child")?.focus();
    };
    const save = () => {
      if (field.value.trim()) this.acts.edit(message, field.value);
    };
    field.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape") done();
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) save();
      else if (event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
    });
    this.place.replaceChildren(element("div", { class: "editing" }, field,
      element("div", { class: "buttons" },
        element("button", { type: "button", class: "button primary", onclick: save }, "Ask this"),
        element("button", { type: "button", class: "button", onclick: done }, "Leave it"))));
    field.focus();
  }

  /** @param {Message} message @param {boolean} busy @param {boolean} newest */
  #showAnswer(message, busy, newest) {
    const pending = message.status === "pending";
    const body = element("div", { class: "prose", "aria-live": "polite", "aria-busy": pending });
    this.prose = new Prose(body);
    this.waitingText = element("span", {}, message.id ? "Answering…" : "Sending…");
    this.waiting = pending && element("p", { class: "waiting" },
      element("span", { class: "dots", "aria-hidden": "true" }, element("i"), element("i"),
        element("i")), this.waitingText);
    this.place.replaceChildren(
      element("h2", { class: "visually-hidden" }, "Answer"),
      this.waiting || "",
      body,
      this.#problem(message, busy, newest) || "",
      message.citations.length ? this.citations.sources(message.citations) : "",
      pending ? "" : this.#footer(message, busy));
    this.grow();
  }

  /**
   * Why there is no whole answer, and the way to one.
   * @param {Message} message
   * @param {boolean} busy
   * @param {boolean} newest
   */
  #problem(message, busy, newest) {
    const cut = message.status === "completed" && message.finish_reason === "length";
    if (cut) return element("p", { class: "notice note" }, CUT);
    if (message.status === "completed" || message.status === "pending") return null;
    const kind = message.status === "cancelled" ? "note" : "problem";
    return element("div", { class: `notice ${kind}`, role: newest && "alert" },
      element("p", { dir: "auto" }, message.error?.detail || BROKEN[message.status]),
      element("button", { type: "button", class: "button", disabled: busy,
        onclick: () => this.acts.retry(message) }, icon("again"), "Try again"));
  }

  /** @param {Message} message @param {boolean} busy */
  #footer(message, busy) {
    const whole = message.status === "completed";
    return element("div", { class: "actions" },
      this.#branches(message, busy),
      message.content && copyButton("Copy the answer", () => message.content),
      whole && iconButton("Answer anew", "again", () => this.acts.regenerate(message),
        { disabled: busy }),
      message.content && element("p", { class: "meta" }, ...facts(message)));
  }

  /** @param {Message} message @param {boolean} busy */
  #branches(message, busy) {
    const ids = message.sibling_ids;
    if (ids.length < 2) return null;
    const at = ids.indexOf(message.id);
    const go = (/** @type {number} */ to) => () => this.acts.activate(ids[to]);
    return element("div", { class: "branches", role: "group", "aria-label": "Versions" },
      iconButton("Version before", "left", go(at - 1), { disabled: busy || at === 0 }),
      element("span", {}, `${at + 1}/${ids.length}`),
      iconButton("Version after", "right", go(at + 1),
        { disabled: busy || at === ids.length - 1 }));
  }
}

/** @param {number} passages */
function found(passages) {
  if (!passages) return "Answering…";
  return `Found ${passages === 1 ? "a passage" : `${passages} passages`}. Answering…`;
}

/** What an answer came from and took. */
function facts(/** @type {Message} */ message) {
  const { usage, grounding, model, duration_ms: took } = message;
  const cost = usage && Number(usage.cost_usd);
  const shown = [
    grounding && element("span", { class: `grounding ${grounding}` }, GROUNDING[grounding]),
    model && element("span", {}, model === "extractive" ? "quotes, no model" : model),
    usage?.total_tokens ? element("span", {
      title: `${usage.prompt_tokens} of the prompt, ${usage.completion_tokens} of the answer`,
    }, `${usage.total_tokens.toLocaleString()} tokens`) : null,
    cost ? element("span", {}, dollars(cost)) : null,
    took !== null && element("span", {}, seconds(took)),
  ];
  return shown.filter(Boolean);
}

/** @param {number} milliseconds */
function seconds(milliseconds) {
  return milliseconds < 950 ? `${milliseconds} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** @param {number} amount */
function dollars(amount) {
  const style = /** @type {const} */ ({ style: "currency", currency: "USD" });
  if (amount >= 1) return amount.toLocaleString("en-US", style);
  return amount.toLocaleString("en-US", { ...style, maximumSignificantDigits: 2 });
}
