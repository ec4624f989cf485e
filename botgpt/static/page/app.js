/** The page as a whole: which conversation is open, and what its parts tell each other. */

import { Citations } from "./citations.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { DocumentsPanel } from "./documents.js";
import { byId } from "./elements.js";
import { Library } from "./library.js";
import { clear, show, tell } from "./notices.js";
import { Panel } from "./panel.js";
import { Problem } from "./problems.js";
import { Sidebar } from "./sidebar.js";
import { Thread } from "./thread.js";

/** @typedef {import("./composer.js").Mode} Mode */

// A small model writes titles after the answer; this is when it has, mostly.
const TITLE_MS = 2500;

export class App {
  /** @param {import("./api.js").Api} api */
  constructor(api) {
    this.api = api;
    /** @type {Mode} of the next conversation */
    this.mode = "open_chat";
    /** Whether a person has chosen it, so that nothing else does. */
    this.modeChosen = false;
    /** @type {Set<string>} documents of the next conversation; none means all */
    this.chosen = new Set();
    this.hasModel = true;
    this.panel = new Panel();
    this.library = new Library(api);
    this.sidebar = new Sidebar(api, (id) => {
      if (id === this.conversation.id) this.begin();
    });
    const citations = new Citations(api, this.panel);
    this.thread = new Thread(citations, this.#acts());
    this.composer = new Composer({
      send: (content) => this.send(content),
      stop: () => this.stop(),
      choose: () => this.documents.open(),
      mode: (mode) => this.#setMode(mode),
    });
    this.documents = new DocumentsPanel(this.library, this.panel, this.#choice());
    this.conversation = new Conversation(api);
    this.#open(this.conversation);
    this.#listen();
  }

  /** Reads all that the page shows first. Throws a Problem. */
  async start() {
    const models = await this.api.get("/models");
    this.hasModel = models.results.some((/** @type {any} */ model) => model.available);
    byId("no-model").hidden = this.hasModel;
    await Promise.all([this.library.load(), this.sidebar.refresh()]);
    const reads = !this.hasModel || this.library.count > 0;
    if (reads && !this.modeChosen) this.mode = "grounded_rag";
    // Without an address the new conversation stays, in which something may be written by now.
    if (location.hash) await this.route();
    else this.#show();
  }

  /** Opens what the address names. */
  async route() {
    const [id, messageId] = location.hash.slice(1).split("/");
    if (!id) this.#open(new Conversation(this.api));
    else if (id !== this.conversation.id) await this.#load(id);
    if (messageId) this.thread.reveal(messageId);
  }

  /** A new conversation. */
  begin() {
    if (location.hash) history.pushState(null, "", location.pathname);
    this.#open(new Conversation(this.api));
    this.composer.focus();
  }

  /** @param {string} content */
  async send(content) {
    const opening = { mode: this.mode,
      document_ids: this.mode === "grounded_rag" ? [...this.chosen] : [] };
    await this.#answered((conversation) => conversation.ask(content, opening), () => {
      if (!this.composer.text) this.composer.text = content;
    });
  }

  async stop() {
    try {
      await this.conversation.stop();
    } catch (problem) {
      tell(problem);
    }
  }

  /** Whether something was there to stop. */
  get stoppable() {
    return this.conversation.answering !== null;
  }

  /** @param {File[]} files */
  async add(files) {
    if (!files.length) return;
    const fresh = !this.conversation.id;
    if (fresh) this.#setMode("grounded_rag");
    this.documents.open();
    await this.library.add(files);
  }

  /**
   * Runs a call that ends in an answer, and tells what goes wrong.
   * @param {(conversation: Conversation) => Promise<void>} call
   * @param {() => void} [unsent] called where the question was not taken
   */
  async #answered(call, unsent) {
    const { conversation } = this;
    clear();
    this.thread.following = true;
    try {
      await call(conversation);
      if (unsent && !conversation.id) unsent();
    } catch (problem) {
      if (conversation !== this.conversation) return;
      unsent?.();
      tell(problem, this.#remedy(problem, () => {
        if (unsent) this.composer.text = "";
        this.#answered(call, unsent);
      }));
    }
  }

  /**
   * @param {unknown} problem
   * @param {() => void} again
   */
  #remedy(problem, again) {
    if (!(problem instanceof Problem) || !problem.mayPass) return undefined;
    const nothingToRead = problem.code === "documents_not_ready" && !this.library.busy;
    return nothingToRead
      ? { label: "Choose files", act: () => byId("file").click() }
      : { label: "Try again", act: again };
  }

  /** @param {string} id */
  async #load(id) {
    const conversation = new Conversation(this.api, id);
    this.#open(conversation);
    try {
      await conversation.load();
    } catch (problem) {
      if (conversation !== this.conversation) return;
      const gone = problem instanceof Problem && [400, 404].includes(problem.status);
      if (!gone) return tell(problem, { label: "Try again", act: () => this.#load(id) });
      this.begin();
      show("This conversation is not there: it was deleted, or is another user's.", "problem");
    }
  }

  /** @param {Conversation} conversation */
  #open(conversation) {
    this.conversation.leave();
    this.conversation = conversation;
    clear();
    byId("lost").hidden = true;
    /** @type {Record<string, () => void>} */
    const changes = {
      change: () => this.#show(),
      words: () => this.thread.grow(),
      opened: () => this.#opened(),
      ended: () => this.#ended(conversation),
      lost: () => (byId("lost").hidden = false),
      found: () => (byId("lost").hidden = true),
    };
    for (const [name, act] of Object.entries(changes)) {
      conversation.addEventListener(name, () => conversation === this.conversation && act());
    }
    this.thread.open(conversation);
    this.#show();
    this.sidebar.mark(conversation.id);
    this.closeDrawer();
  }

  #show() {
    const { conversation } = this;
    const title = conversation.details?.title ?? "";
    byId("title").textContent = title || "New conversation";
    document.title = title ? `${title} · BOT GPT` : "BOT GPT";
    this.thread.show(conversation);
    this.composer.setBusy(conversation.answering !== null);
    this.#showMode();
    this.documents.show();
  }

  #showMode() {
    const { details } = this.conversation;
    const choice = this.documents.choice;
    const all = this.library.count ? "All documents" : "No documents yet";
    const some = choice.size === 1 ? "1 document" : `${choice.size} documents`;
    const source = choice.size ? some : all;
    this.composer.setMode(details?.mode ?? this.mode, details !== null, source);
  }

  #opened() {
    const { id } = this.conversation;
    history.pushState(null, "", `#${id}`);
    this.sidebar.mark(id);
    this.sidebar.refresh();
  }

  /** @param {Conversation} conversation */
  #ended(conversation) {
    byId("lost").hidden = true;
    this.sidebar.refresh();
    if (!this.hasModel || conversation.messages.length > 2) return;
    setTimeout(async () => {
      if (conversation !== this.conversation) return;
      await conversation.refresh().catch(() => {}); // the title can wait for the next time
      await this.sidebar.refresh();
    }, TITLE_MS);
  }

  /** @param {Mode} mode */
  #setMode(mode) {
    this.mode = mode;
    this.modeChosen = true;
    this.#show();
  }

  #acts() {
    return {
      edit: (/** @type {any} */ message, /** @type {string} */ content) => {
        this.#answered((conversation) => conversation.edit(message, content));
        this.composer.focus();
      },
      regenerate: (/** @type {any} */ message) => {
        this.#answered((conversation) => conversation.regenerate(message));
        this.composer.focus();
      },
      retry: (/** @type {any} */ message) => {
        this.#answered((conversation) => conversation.retry(message));
        this.composer.focus();
      },
      activate: async (/** @type {string} */ id) => {
        await this.conversation.activate(id).catch(tell);
        this.thread.reveal(id);
        /** @type {HTMLElement|null} */
        (document.querySelector(`#message-${CSS.escape(id)} .branches button:enabled`))
          ?.focus({ preventScroll: true });
      },
      earlier: () => this.conversation.loadEarlier().catch(tell),
    };
  }

  /** The documents that answers come from: of this conversation, or of the next one. */
  #choice() {
    const app = this;
    const ids = () => app.conversation.details?.document_ids ?? [...app.chosen];
    const change = async (/** @type {string[]} */ wanted) => {
      if (!app.conversation.details) {
        app.chosen = new Set(wanted);
        app.mode = "grounded_rag";
      } else await app.conversation.change({ document_ids: wanted }).catch(tell);
      app.#show();
    };
    return {
      has: (/** @type {string} */ id) => ids().includes(id),
      get size() {
        return ids().length;
      },
      get usable() {
        return app.conversation.details?.mode !== "open_chat";
      },
      toggle: (/** @type {string} */ id) => change(ids().includes(id)
        ? ids().filter((one) => one !== id) : [...ids(), id]),
      clear: () => change([]),
    };
  }

  #listen() {
    byId("new").addEventListener("click", () => this.begin());
    byId("documents").addEventListener("click", () => {
      if (this.panel.showing === "documents") this.panel.close();
      else this.documents.open();
    });
    byId("menu").addEventListener("click", () => this.openDrawer());
    byId("backdrop").addEventListener("click", () => this.closeDrawer());
    byId("drawer-close").addEventListener("click", () => this.closeDrawer());
    byId("conversations").addEventListener("changed", (/** @type {CustomEvent} */ event) => {
      if (event.detail === this.conversation.id) this.conversation.refresh().catch(tell);
    });
    byId("title").addEventListener("dblclick", () => {
      if (this.conversation.details) this.sidebar.rename(this.conversation.details);
    });
    this.library.addEventListener("change", () => {
      byId("reading").hidden = !this.library.busy;
      this.#showMode();
    });
    window.addEventListener("hashchange", () => this.route());
  }

  openDrawer() {
    document.body.classList.add("with-drawer");
    byId("main").inert = true;
    byId("search").focus();
  }

  closeDrawer() {
    if (!document.body.classList.contains("with-drawer")) return;
    document.body.classList.remove("with-drawer");
    byId("main").inert = false;
    byId("menu").focus();
  }
}
