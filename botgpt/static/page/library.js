/** The caller's documents: sending files, and how far their reading has come. */

/**
 * @typedef {import("./types.js").LibraryDocument} LibraryDocument
 *
 * A file on its way to the server.
 * @typedef {object} Upload
 * @property {File} file
 * @property {number} share that was sent, from 0 to 1
 * @property {string} problem empty unless it failed
 */

import { Problem } from "./problems.js";

const FIRST_LOOK_MS = 400;
const LONGEST_LOOK_MS = 3000;
const PAGE = 100;

/** Tells of changes by the event `change`, and of a document that is there by `kept`. */
export class Library extends EventTarget {
  /** @param {import("./api.js").Api} api */
  constructor(api) {
    super();
    this.api = api;
    /** @type {LibraryDocument[]} newest first */
    this.documents = [];
    this.count = 0;
    /** @type {Upload[]} */
    this.uploads = [];
    this.polling = false;
  }

  async load() {
    const found = await this.api.get("/documents", { limit: PAGE });
    // What was sent meanwhile may be newer than this list.
    const known = new Set(found.results.map((/** @type {LibraryDocument} */ one) => one.id));
    const newer = this.documents.filter((one) => !known.has(one.id));
    this.documents = [...newer, ...found.results];
    this.count = found.count + newer.length;
    this.#tell();
    this.#watch();
  }

  /** Reads the next page of a long list. */
  async loadMore() {
    const page = Math.floor(this.documents.length / PAGE) + 1;
    const found = await this.api.get("/documents", { limit: PAGE, page });
    const known = new Set(this.documents.map((one) => one.id));
    this.documents.push(...found.results.filter((/** @type {any} */ one) => !known.has(one.id)));
    this.count = found.count;
    this.#tell();
  }

  /**
   * Sends files, each by itself; one that fails does not hold up the others.
   * @param {Iterable<File>} files
   */
  async add(files) {
    const uploads = [...files].map((file) => ({ file, share: 0, problem: "" }));
    this.uploads = [...uploads, ...this.uploads.filter((one) => !one.problem)];
    this.#tell();
    for (const upload of uploads) await this.#send(upload);
  }

  /** @param {Upload} upload one that failed */
  dismiss(upload) {
    this.uploads = this.uploads.filter((one) => one !== upload);
    this.#tell();
  }

  /** @param {LibraryDocument} document */
  async remove(document) {
    await this.api.delete(`/documents/${document.id}`);
    this.documents = this.documents.filter((one) => one.id !== document.id);
    this.count -= 1;
    this.#tell();
  }

  /** @param {LibraryDocument} document one that could not be read */
  async readAgain(document) {
    this.#keep(await this.api.post(`/documents/${document.id}/reprocess`));
    this.#watch();
  }

  /** @param {Upload} upload */
  async #send(upload) {
    try {
      const kept = await this.api.upload(upload.file, (share) => {
        upload.share = share;
        this.#tell();
      });
      this.uploads = this.uploads.filter((one) => one !== upload);
      this.#keep(kept);
      this.dispatchEvent(new CustomEvent("kept", { detail: kept }));
      this.#watch();
    } catch (problem) {
      upload.problem = problem instanceof Problem ? problem.told : "The file could not be read.";
      this.#tell();
    }
  }

  /** @param {LibraryDocument} document */
  #keep(document) {
    const at = this.documents.findIndex((one) => one.id === document.id);
    if (at < 0) {
      this.documents.unshift(document);
      this.count += 1;
    } else this.documents[at] = document;
    this.#tell();
  }

  /** Looks at what is being read until all of it is, soon at first and then less often. */
  async #watch() {
    if (this.polling) return;
    this.polling = true;
    for (let wait = FIRST_LOOK_MS; this.unfinished.length; wait *= 1.3) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(wait, LONGEST_LOOK_MS)));
      await Promise.all(this.unfinished.slice(0, 5).map((one) => this.#look(one)));
    }
    this.polling = false;
  }

  /** @param {LibraryDocument} document */
  async #look(document) {
    try {
      this.#keep(await this.api.get(`/documents/${document.id}`));
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 404) return;
      this.documents = this.documents.filter((one) => one.id !== document.id);
      this.#tell();
    }
  }

  /** Those that wait or are being read. */
  get unfinished() {
    return this.documents.filter((one) => one.status === "pending" || one.status === "processing");
  }

  /** Whether anything is being sent or read. */
  get busy() {
    return this.unfinished.length > 0 || this.uploads.some((one) => !one.problem);
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}
