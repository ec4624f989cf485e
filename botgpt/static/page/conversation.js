/** One conversation: its messages as the server has them, and what can be done with it. */

import { randomId } from "./access.js";
import { Problem } from "./problems.js";
import { follow } from "./stream.js";

/**
 * @typedef {import("./api.js").Api} Api
 * @typedef {import("./types.js").Message} Message
 * @typedef {import("./types.js").ConversationDetails} Details
 * @typedef {{mode: string, document_ids: string[]}} Opening how a new conversation begins
 */

const EARLIER = 50;

/**
 * Tells of changes by events: `change` (messages or details), `words` (the answer under way has
 * more to show), `opened` (it has an id now), `ended` (the answer is there), `lost` and `found`
 * (the connection).
 */
export class Conversation extends EventTarget {
  /**
   * @param {Api} api
   * @param {string} [id] none for one that is still to be opened
   */
  constructor(api, id = "") {
    super();
    this.api = api;
    this.id = id;
    /** @type {Details|null} */
    this.details = null;
    /** @type {Message[]} the active path, or its end */
    this.messages = [];
    /** How many messages stand before those. */
    this.earlier = 0;
    /** @type {AbortController|null} of the answer that is listened to */
    this.listening = null;
    /** The question sent last, until it is known that the server has it. */
    this.sent = { path: "", content: "", key: "" };
  }

  /** The answer under way. */
  get answering() {
    const last = this.messages.at(-1);
    return last?.role === "assistant" && last.status === "pending" ? last : null;
  }

  /** Reads it, and listens to an answer that is under way. */
  async load() {
    this.#show(await this.api.get(`/conversations/${this.id}`));
    if (this.answering) await this.#listenAgain(this.answering);
  }

  /** Reads messages before those that are shown. */
  async loadEarlier() {
    const page = Math.ceil(this.earlier / EARLIER);
    const found = await this.api.get(`/conversations/${this.id}/messages`,
      { page, limit: EARLIER });
    const known = new Set(this.messages.map((message) => message.id));
    const fresh = found.results.filter((/** @type {Message} */ one) => !known.has(one.id));
    this.messages = [...fresh, ...this.messages];
    this.earlier = (page - 1) * EARLIER;
    this.#tell("change");
  }

  /**
   * Asks the next question, or opens the conversation with it.
   * @param {string} content
   * @param {Opening} opening
   */
  async ask(content, opening) {
    const at = this.messages.length;
    if (this.id) {
      return this.#answer(`/conversations/${this.id}/messages`, { content }, content, at);
    }
    const body = { first_message: content, ...opening, ...this.api.access.user };
    await this.#answer("/conversations", body, content, at);
  }

  /**
   * Asks a question in other words, on a branch of its own.
   * @param {Message} question
   * @param {string} content
   */
  async edit(question, content) {
    const path = `/conversations/${this.id}/messages/${question.id}/edit`;
    await this.#answer(path, { content }, content, this.messages.indexOf(question));
  }

  /**
   * Gets another answer to the same question.
   * @param {Message} answer
   */
  async regenerate(answer) {
    const at = this.messages.indexOf(answer);
    const path = `/conversations/${this.id}/messages/${answer.id}/regenerate`;
    await this.#answer(path, {}, this.messages[at - 1].content, at - 1);
  }

  /**
   * Asks again for an answer that was broken off; where others follow it, for another one.
   * @param {Message} answer
   */
  async retry(answer) {
    const at = this.messages.indexOf(answer);
    if (at < this.messages.length - 1) return this.regenerate(answer);
    const path = `/conversations/${this.id}/messages/${answer.id}/retry`;
    await this.#answer(path, {}, this.messages[at - 1].content, at - 1);
  }

  /** Stops the answer under way; what was said is kept. */
  async stop() {
    const answer = this.answering;
    if (!answer) return;
    if (!answer.id) return this.leave();
    try {
      await this.api.post(`/conversations/${this.id}/messages/${answer.id}/cancel`);
    } catch (problem) {
      // It ended by itself in this very moment.
      if (!(problem instanceof Problem) || problem.code !== "nothing_to_cancel") throw problem;
    }
  }

  /** Listens no longer; the answer goes on. */
  leave() {
    this.listening?.abort();
  }

  /**
   * Goes to another branch.
   * @param {string} messageId
   */
  async activate(messageId) {
    const path = `/conversations/${this.id}/messages/${messageId}/activate`;
    this.#show(await this.api.post(path));
    if (this.answering) await this.#listenAgain(this.answering);
  }

  /** @param {Record<string, any>} fields */
  async change(fields) {
    this.details = await this.api.patch(`/conversations/${this.id}`, fields);
    this.#tell("change");
  }

  /** Reads the title and the like anew, which the server may have written meanwhile. */
  async refresh() {
    const { messages, ...details } = await this.api.get(`/conversations/${this.id}`);
    this.details = details;
    this.#tell("change");
  }

  /** @param {any} read a conversation with its newest messages */
  #show({ messages, ...details }) {
    this.details = details;
    this.messages = messages;
    this.earlier = Math.max(0, details.message_count - messages.length);
    this.#tell("change");
  }

  /**
   * Sends a question and follows its answer. What is shown at once gives way to what the server
   * keeps; where it takes nothing, all is as before.
   * @param {string} path
   * @param {any} body
   * @param {string} content of the question
   * @param {number} at where the question stands
   */
  async #answer(path, body, content, at) {
    const before = this.messages;
    this.messages = [...before.slice(0, at), draft("user", content), draft("assistant", "")];
    this.#tell("change");
    const controller = this.#listen();
    // Sent again after a failure, a question keeps its key: the server takes it only once.
    const again = this.sent.path === path && this.sent.content === content;
    this.sent = { path, content, key: again ? this.sent.key : randomId() };
    try {
      const asked = { ...body, stream: true };
      const begun = this.api.ask(path, asked, this.sent.key, controller.signal);
      await this.#follow(begun, controller);
    } catch (problem) {
      if (!controller.signal.aborted) throw problem;
    } finally {
      if (this.messages.some((message) => !message.id)) {
        this.messages = before;
        this.#tell("change");
      }
    }
  }

  /** @param {Message} answer under way */
  async #listenAgain(answer) {
    const controller = this.#listen();
    await this.#follow(this.api.resume(this.#stream(answer.id), "", controller.signal), controller);
  }

  #listen() {
    this.leave();
    this.listening = new AbortController();
    return this.listening;
  }

  /** @param {string} answerId */
  #stream(answerId) {
    return `/conversations/${this.id}/messages/${answerId}/stream`;
  }

  /**
   * @param {Promise<Response>} begun
   * @param {AbortController} controller
   */
  async #follow(begun, controller) {
    const { signal } = controller;
    const again = (/** @type {any} */ created, /** @type {string} */ lastId) =>
      this.api.resume(this.#stream(created.answer.id), lastId, signal);
    const onLost = (/** @type {boolean} */ lost) => this.#tell(lost ? "lost" : "found");
    for await (const { name, data } of follow(begun, again, signal, onLost)) {
      if (signal.aborted) return;
      if (name === "message.created") this.#begin(data);
      const answer = this.messages.at(-1);
      if (!answer) return;
      if (name === "retrieval") answer.passages = data.passages.length;
      if (name === "delta") answer.content += data.text;
      if (name === "retrieval" || name === "delta") this.#tell("words");
      if (name === "message.completed") this.#end(data.answer);
      if (name === "error") await this.#fail(answer, new Problem(data));
    }
  }

  /** @param {any} created question and answer, and the conversation where it is new */
  #begin({ message, answer, ...details }) {
    this.sent = { path: "", content: "", key: "" };
    if (details.id) {
      this.id = details.id;
      this.details = details;
    }
    const at = this.messages.findIndex((one) => one.id === message.parent_id);
    const kept = this.messages.slice(0, at + 1);
    this.messages = [...kept, message, { ...answer, content: "" }];
    if (details.id) this.#tell("opened");
    this.#tell("change");
  }

  /** @param {Message} answer */
  #end(answer) {
    this.messages = [...this.messages.slice(0, -1), answer];
    this.#tell("change");
    this.#tell("ended");
  }

  /**
   * An answer that failed is kept by the server with what it had said and why it broke off.
   * @param {Message} answer
   * @param {Problem} problem
   */
  async #fail(answer, problem) {
    const error = { code: problem.code, detail: problem.told };
    let kept = { ...answer, status: /** @type {const} */ ("failed") };
    try {
      kept = await this.api.get(`/conversations/${this.id}/messages/${answer.id}`);
    } catch {
      // What is known already will do.
    }
    this.#end({ ...kept, error });
  }

  /** @param {string} name */
  #tell(name) {
    this.dispatchEvent(new Event(name));
  }
}

/**
 * A message that the server has not taken yet.
 * @param {"user"|"assistant"} role
 * @param {string} content
 * @returns {Message}
 */
function draft(role, content) {
  const status = role === "user" ? "completed" : "pending";
  const nothing = { model: "", finish_reason: "", error: null, citations: [], grounding: null };
  return { id: "", parent_id: null, sibling_ids: [], role, status, content, ...nothing,
    usage: null, duration_ms: null };
}
