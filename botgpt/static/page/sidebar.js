/** The conversations at the side: latest first, archived ones, and those that a search finds. */

import { byId, element, icon, marked, order } from "./elements.js";
import { asked } from "./dialogs.js";
import { menuButton } from "./menu.js";
import { carryOut, tell, undoable } from "./notices.js";

/**
 * @typedef {import("./types.js").ConversationDetails} Details
 * @typedef {import("./types.js").Match} Match
 */

const PAGE = 30;
const TYPING_MS = 250;

export class Sidebar {
  /**
   * @param {import("./api.js").Api} api
   * @param {(id: string) => void} onRemoved called for one that was archived or deleted
   */
  constructor(api, onRemoved) {
    this.api = api;
    this.onRemoved = onRemoved;
    this.list = byId("conversations");
    this.search = byId("search");
    this.more = byId("more");
    this.archived = false;
    this.current = "";
    /** @type {Map<string, HTMLElement>} by what they show: those that stay are not made anew */
    this.rows = new Map();
    /** @type {Set<string>} put away, which can still be undone */
    this.hidden = new Set();
    this.pages = 1;
    this.asked = 0;
    this.#listen();
  }

  /** Reads what is shown anew. */
  async refresh() {
    const asked = (this.asked += 1);
    try {
      const words = this.search.value.trim();
      const show = words ? await this.#found(words) : await this.#latest();
      if (asked !== this.asked) return;
      // A menu that is open would go with its row.
      const menu = this.list.querySelector(":popover-open");
      if (menu) menu.addEventListener("toggle", () => this.refresh(), { once: true });
      else show();
    } catch (problem) {
      tell(problem);
    }
  }

  /**
   * Marks the conversation that is open.
   * @param {string} id
   */
  mark(id) {
    this.current = id;
    for (const link of this.list.querySelectorAll("a")) {
      if (link.dataset.id === id) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.#rove();
  }

  focusSearch() {
    this.search.focus();
    this.search.select();
  }

  #listen() {
    let timer = 0;
    this.search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.refresh(), TYPING_MS);
    });
    this.search.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape" && this.search.value) {
        event.stopPropagation();
        this.search.value = "";
        this.refresh();
      }
      if (event.key === "ArrowDown") {
        event.preventDefault();
        this.list.querySelector("a")?.focus();
      }
    });
    this.list.addEventListener("keydown", (/** @type {any} */ event) => this.#move(event));
    this.more.addEventListener("click", () => {
      this.pages += 1;
      this.refresh();
    });
    const toggle = byId("archived");
    toggle.addEventListener("click", async () => {
      await carryOut();
      this.archived = !this.archived;
      this.pages = 1;
      toggle.setAttribute("aria-pressed", String(this.archived));
      this.refresh();
    });
  }

  /** Up and down, to the first and to the last. */
  #move(/** @type {KeyboardEvent} */ event) {
    const links = [...this.list.querySelectorAll("a")];
    const at = links.indexOf(/** @type {any} */ (event.target).closest("li")?.querySelector("a"));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to < 0) this.search.focus();
    else links[Math.min(to, links.length - 1)]?.focus();
  }

  /** One stop for the tab key, however many there are. */
  #rove() {
    const rows = [...this.list.children];
    const focused = rows.find((row) => row.contains(document.activeElement));
    const current = focused ?? rows.find((row) => row.querySelector("[aria-current]")) ?? rows[0];
    for (const row of rows) {
      for (const stop of row.querySelectorAll("a, button")) {
        stop.tabIndex = row === current ? 0 : -1;
      }
    }
  }

  async #latest() {
    const limit = Math.min(100, PAGE * this.pages);
    /** @type {import("./types.js").List<Details>} */
    const found = await this.api.get("/conversations", { archived: this.archived, limit });
    const rows = found.results;
    for (let page = 2; page * limit <= PAGE * this.pages && rows.length < found.count; page += 1) {
      rows.push(...(await this.api.get("/conversations",
        { archived: this.archived, limit, page })).results);
    }
    return () => {
      this.more.hidden = rows.length >= found.count;
      const nothing = this.archived ? "Nothing is archived." : "No conversations yet.";
      const there = rows.filter((row) => !this.hidden.has(row.id));
      const shown = there.map((row) => /** @type {[string, HTMLElement]} */ (
        [`${row.id} ${row.archived} ${row.title}`, this.#row(row)]));
      this.rows = new Map(shown.map(([key, row]) => [key, this.rows.get(key) ?? row]));
      this.#fill([...this.rows.values()], nothing);
    };
  }

  /** @param {string} words */
  async #found(words) {
    const query = { query: words, archived: this.archived, limit: PAGE };
    /** @type {import("./types.js").List<Match>} */
    const found = await this.api.get("/conversations/search", query);
    return () => {
      this.more.hidden = true;
      const there = found.results.filter((match) => !this.hidden.has(match.conversation_id));
      this.#fill(there.map((match) => this.#match(match)), "Nothing has these words.");
    };
  }

  /**
   * @param {HTMLElement[]} rows
   * @param {string} nothing
   */
  #fill(rows, nothing) {
    const focused = this.list.contains(document.activeElement)
      ? /** @type {any} */ (document.activeElement).closest("li")?.dataset.id : "";
    order(this.list, rows);
    const empty = byId("no-conversations");
    empty.textContent = nothing;
    empty.hidden = rows.length > 0;
    if (focused && document.activeElement === document.body) {
      rows.find((row) => row.dataset.id === focused)?.querySelector("a")?.focus();
    }
    this.mark(this.current);
  }

  /** @param {Details} details */
  #row(details) {
    const { id, title, archived } = details;
    const row = element("li", { "data-id": id, onfocusin: () => this.#rove() },
      element("a", { href: `#${id}`, "data-id": id, title },
        icon(details.mode === "grounded_rag" ? "document" : "chat"),
        element("span", { class: "title", dir: "auto" }, title || "Untitled")),
      menuButton(`Actions: ${title}`, [
        { label: "Rename", icon: "edit", act: () => this.rename(details) },
        archived
          ? { label: "Unarchive", icon: "unarchive", act: () => this.#archive(details) }
          : { label: "Archive", icon: "archive", act: () => this.#archive(details) },
        { label: "Delete", icon: "delete", act: () => this.#delete(details) },
      ]));
    return row;
  }

  /** @param {Match} match */
  #match(match) {
    const { conversation_id: id, message_id: message } = match;
    const href = message ? `#${id}/${message}` : `#${id}`;
    return element("li", { "data-id": id, onfocusin: () => this.#rove() },
      element("a", { href, "data-id": id, class: "match" },
        element("span", { class: "title", dir: "auto" }, match.title),
        message && element("span", { class: "snippet", dir: "auto" },
          ...marked(match.snippet, match.highlights))));
  }

  /** @param {Pick<Details, "id"|"title">} details */
  async rename(details) {
    const title = await asked("Rename the conversation", details.title);
    if (title) await this.#change(details.id, { title: title.slice(0, 200) });
  }

  /** @param {Details} details */
  async #archive(details) {
    const { id, archived } = details;
    if (archived) return this.#change(id, { archived: false });
    return this.#putAway(details, "Archived",
      () => this.api.patch(`/conversations/${id}`, { archived: true }));
  }

  /**
   * @param {string} id
   * @param {Record<string, any>} fields
   */
  async #change(id, fields) {
    try {
      await this.api.patch(`/conversations/${id}`, fields);
      this.list.dispatchEvent(new CustomEvent("changed", { detail: id }));
    } catch (problem) {
      tell(problem);
    }
    await this.refresh();
  }

  /** @param {Details} details */
  #delete(details) {
    return this.#putAway(details, "Deleted",
      () => this.api.delete(`/conversations/${details.id}`));
  }

  /**
   * Hides a conversation at once. The server is told when it cannot be undone any more: so what is
   * undone has changed nothing, not even the conversation's place in the list.
   * @param {Details} details
   * @param {string} did
   * @param {() => Promise<void>} send
   */
  async #putAway({ id, title }, did, send) {
    const wasOpen = this.current === id;
    this.hidden.add(id);
    this.onRemoved(id);
    undoable(`${did}: ${title}`, async () => {
      await this.#show(id);
      if (wasOpen) location.hash = id;
    }, async () => {
      await send().catch(tell);
      await this.#show(id);
    });
    await this.refresh();
    this.#keepFocus();
  }

  /** @param {string} id */
  async #show(id) {
    this.hidden.delete(id);
    await this.refresh();
  }

  /** The row that had focus is gone; on a phone, focus on a field would open the keyboard. */
  #keepFocus() {
    if (document.activeElement !== document.body) return;
    (this.list.querySelector("a") ?? byId("new")).focus();
  }
}
