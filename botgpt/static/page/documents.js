/** The panel of documents: sending, progress, and which of them answers come from. */

import { byId, element, icon, iconButton, order } from "./elements.js";
import { confirmed } from "./dialogs.js";
import { tell } from "./notices.js";

/**
 * @typedef {import("./types.js").LibraryDocument} LibraryDocument
 * @typedef {import("./library.js").Library} Library
 * @typedef {import("./library.js").Upload} Upload
 */

export class DocumentsPanel {
  /**
   * @param {Library} library
   * @param {import("./panel.js").Panel} panel
   * @param {{has: (id: string) => boolean, size: number, usable: boolean,
   *   toggle: (id: string) => void, clear: () => void}} choice what answers come from
   */
  constructor(library, panel, choice) {
    this.library = library;
    this.panel = panel;
    this.choice = choice;
    this.list = element("ul", { class: "documents" });
    this.scope = element("p", { class: "scope" });
    this.more = element("button", { type: "button", class: "button",
      onclick: () => library.loadMore().catch(tell) }, "Show more");
    /** @type {Map<any, HTMLElement>} rows by what they show, so that focus stays */
    this.rows = new Map();
    library.addEventListener("change", () => this.show());
  }

  open() {
    this.panel.open("documents", "Documents",
      element("button", { type: "button", class: "drop-here", onclick: () => byId("file").click() },
        icon("upload"), element("span", {}, element("strong", {}, "Choose files"),
          " or drop them anywhere. PDF, text or Markdown.")),
      this.scope, this.list, this.more);
    this.show();
  }

  show() {
    const { library, choice } = this;
    const chosen = choice.size === 1 ? "1 document" : `${choice.size} documents`;
    const all = library.count === 1 ? "your document" : `all ${library.count} documents`;
    this.scope.hidden = library.count === 0;
    this.scope.replaceChildren(!choice.usable
      ? "This conversation is open chat, which reads no documents. Begin a new one to ask them."
      : `Answers come from ${choice.size ? chosen : all}. `,
    choice.usable && !choice.size && library.count > 1 ? "Tick some to use those alone." : "",
    choice.usable && choice.size ? element("button", { type: "button", class: "link",
      onclick: () => choice.clear() }, "Use all") : "");
    const shown = [...library.uploads, ...library.documents];
    const rows = shown.map((one) => this.#row(one));
    order(this.list, rows);
    this.more.hidden = library.documents.length >= library.count;
  }

  /** @param {Upload|LibraryDocument} shown */
  #row(shown) {
    const id = "file" in shown ? shown : shown.id;
    const row = this.rows.get(id) ?? element("li");
    this.rows.set(id, row);
    const chosen = !("file" in shown) && this.choice.has(shown.id);
    const key = "file" in shown ? `${shown.share} ${shown.problem}`
      : JSON.stringify([shown, chosen, this.choice.usable]);
    if (row.dataset.key === key) return row;
    row.dataset.key = key;
    const focused = row.contains(document.activeElement) && document.activeElement?.className;
    row.replaceChildren(...("file" in shown ? this.#upload(shown) : this.#document(shown, chosen)));
    if (focused) row.querySelector(`.${focused.split(" ").join(".")}`)?.focus();
    return row;
  }

  /** @param {Upload} upload */
  #upload({ file, share, problem }) {
    const percent = Math.round(share * 100);
    return [
      icon(problem ? "warning" : "upload"),
      element("div", { class: "document" },
        element("bdi", { class: "name" }, file.name),
        problem
          ? element("p", { class: "state problem", role: "alert" }, problem)
          : element("p", { class: "state" }, percent < 100 ? `Sending, ${percent} %` : "Sent"),
        !problem && element("progress",
          { max: 1, value: share, "aria-label": `Sending ${file.name}` })),
      problem && iconButton(`Put away: ${file.name}`, "close", () => {
        const upload = this.library.uploads.find((one) => one.file === file);
        if (upload) this.library.dismiss(upload);
      }),
    ].filter(Boolean);
  }

  /**
   * @param {LibraryDocument} document
   * @param {boolean} chosen
   */
  #document(document, chosen) {
    const { name, status } = document;
    const box = element("input", { type: "checkbox", class: "choose", checked: chosen,
      disabled: !this.choice.usable || status === "failed",
      onchange: () => this.choice.toggle(document.id) });
    return [
      element("label", { class: "document" }, box,
        element("span", {},
          element("bdi", { class: "name" }, name),
          ...this.#state(document))),
      element("span", { class: "row-actions" },
        status === "failed" && iconButton(`Read again: ${name}`, "again",
          () => this.library.readAgain(document).catch(tell)),
        iconButton(`Download: ${name}`, "download", () => this.#download(document)),
        iconButton(`Delete: ${name}`, "delete", () => this.#delete(document))),
    ];
  }

  /** @param {LibraryDocument} document */
  #state({ name, status, error, size, page_count: pages, pages_done: done }) {
    const state = (/** @type {string} */ text, /** @type {string} */ kind = "") =>
      element("span", { class: `state ${kind}`, role: kind && "alert" }, text);
    const progress = (/** @type {Record<string, number>} */ far) =>
      element("progress", { "aria-label": `Reading ${name}`, ...far });
    const length = pages === 1 ? "1 page" : `${pages} pages`;
    switch (status) {
      case "pending":
        return [state("Waits to be read"), progress({})];
      case "processing":
        return [state(pages ? `Reading, ${done} of ${length}` : "Reading"),
          progress(pages ? { max: pages, value: done } : {})];
      case "failed":
        return [state(error?.detail ?? "It could not be read.", "problem")];
      default:
        return [state(`${length}, ${sizeOf(size)}`), error && state(error.detail, "problem")];
    }
  }

  /** The file, by a call that shows the key, which a plain link could not. */
  async #download(/** @type {LibraryDocument} */ { id, name }) {
    try {
      const file = await this.library.api.download(`/documents/${id}/file`);
      const address = URL.createObjectURL(file);
      element("a", { href: address, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch (problem) {
      tell(problem);
    }
  }

  async #delete(/** @type {LibraryDocument} */ document) {
    const text = `“${document.name}” will be gone with its text. Answers keep their quotes.`;
    if (!(await confirmed("Delete this document?", text, "Delete"))) return;
    try {
      await this.library.remove(document);
      if (this.choice.has(document.id)) this.choice.toggle(document.id);
      this.panel.title.focus();
    } catch (problem) {
      tell(problem);
    }
  }
}

/** @param {number} bytes */
function sizeOf(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1024 * 1024) return `${Math.round(bytes / 1024)} KB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}
