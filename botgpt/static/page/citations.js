/** The chips of citations, and the page that they open with its quote marked. */

import { element, icon, iconButton, marked } from "./elements.js";
import { Problem } from "./problems.js";
import { tell } from "./notices.js";

/**
 * @typedef {import("./types.js").Citation} Citation
 * @typedef {import("./types.js").Page} Page
 * @typedef {import("./inline.js").Marks} Marks
 */

const ANEW = "The document was read anew since: the quote stands elsewhere in it now.";
const GONE = "The document was deleted. This is what was quoted from it.";
const QUOTE_SHOWN = 160;

/** Opens citations in the panel. */
export class Citations {
  /**
   * @param {import("./api.js").Api} api
   * @param {import("./panel.js").Panel} panel
   */
  constructor(api, panel) {
    this.api = api;
    this.panel = panel;
    /** The page asked for last; an answer that comes later than the next question is let go. */
    this.wanted = 0;
  }

  /**
   * What [n] is shown as in an answer.
   * @param {import("./types.js").Message} message
   * @returns {Marks}
   */
  marks(message) {
    const byNumber = new Map(message.citations.map((one) => [one.number, one]));
    const version = [...byNumber.values()].map((one) => one.id).join();
    const waiting = message.status === "pending" && (message.passages ?? 0);
    return {
      version: waiting ? `${waiting}` : version,
      find: (number) => {
        const citation = byNumber.get(number);
        if (citation) return this.chip(citation);
        return waiting && number <= waiting ? element("span", { class: "cite" }, number) : null;
      },
    };
  }

  /** @param {Citation} citation */
  chip(citation) {
    const label = `Source ${citation.number}: ${placeOf(citation)}`;
    return element("button", { type: "button", class: "cite", "aria-label": label, title: label,
      onclick: () => this.open(citation) }, citation.number);
  }

  /**
   * The sources below an answer.
   * @param {Citation[]} citations
   * @returns {HTMLElement}
   */
  sources(citations) {
    const rows = citations.map((one) => element("li", {},
      element("button", { type: "button", class: "source", onclick: () => this.open(one) },
        element("span", { class: "cite" }, one.number),
        element("span", { class: "source-text" },
          element("span", { class: "source-place" }, element("bdi", {}, one.document_name),
            `, page ${one.page}`),
          element("span", { class: "source-quote", dir: "auto" }, shortened(one.quote))))));
    return element("div", { class: "sources", role: "group", "aria-label": "Sources" },
      element("h3", {}, rows.length === 1 ? "1 source" : `${rows.length} sources`),
      element("ol", {}, ...rows));
  }

  /** @param {Citation} citation */
  async open(citation) {
    if (!citation.document_id) return this.#showQuote(citation, GONE);
    await this.#openPage(citation, citation.page);
  }

  /**
   * @param {Citation} citation
   * @param {number} number of the page, which may be another than the citation's
   */
  async #openPage(citation, number) {
    const wanted = (this.wanted += 1);
    try {
      const page = await this.api.get(`/documents/${citation.document_id}/pages/${number}`);
      if (wanted === this.wanted) this.#showPage(citation, page);
    } catch (problem) {
      const missing = problem instanceof Problem && problem.status === 404;
      if (!missing) return tell(problem);
      if (wanted === this.wanted) this.#showQuote(citation, number === citation.page ? GONE : ANEW);
    }
  }

  /**
   * @param {Citation} citation
   * @param {Page} page
   */
  #showPage(citation, page) {
    const { char_start: start, char_end: end } = citation;
    const here = page.number === citation.page;
    const stands = Array.from(page.text).slice(start, end).join("") === citation.quote;
    const text = marked(page.text, here && stands ? [[start, end]] : []);
    const body = element("div", { class: "page-text", dir: "auto" }, ...text);
    const title = element("bdi", {}, page.document_name);
    this.panel.open(`citation ${citation.id}`, "", this.#bar(citation, page),
      citation.section && here
        ? element("p", { class: "section" }, element("bdi", {}, citation.section)) : "",
      here && !stands ? element("p", { class: "notice note" }, ANEW) : "",
      here && !stands ? element("blockquote", { dir: "auto" }, citation.quote) : "",
      body);
    this.panel.title.replaceChildren(title);
    const mark = body.querySelector("mark");
    if (mark) mark.scrollIntoView({ block: "center" });
    else this.panel.body.scrollTop = 0;
  }

  /**
   * @param {Citation} citation
   * @param {Page} page
   */
  #bar(citation, page) {
    const { number, page_count: last } = page;
    const turn = (/** @type {number} */ to) => () => this.#openPage(citation, to);
    return element("div", { class: "page-bar" },
      iconButton("Page before", "left", turn(number - 1), { disabled: number <= 1 }),
      element("span", { "aria-live": "polite" }, `Page ${number} of ${last}`),
      iconButton("Page after", "right", turn(number + 1), { disabled: number >= last }),
      page.number !== citation.page && element("button", { type: "button", class: "link",
        onclick: () => this.#openPage(citation, citation.page) }, "Back to the quote"),
      citation.verified && element("span", { class: "verified",
        title: "The quote was checked against the text of its page." },
      icon("check"), "quote checked"));
  }

  /**
   * @param {Citation} citation
   * @param {string} why there is no page to show
   */
  #showQuote(citation, why) {
    this.panel.open(`citation ${citation.id}`, placeOf(citation),
      element("p", { class: "notice note" }, why),
      element("div", { class: "page-text", dir: "auto" }, element("mark", {}, citation.quote)));
  }
}

/** @param {Citation} citation */
function placeOf(citation) {
  return `${citation.document_name}, page ${citation.page}`;
}

/** @param {string} quote */
function shortened(quote) {
  const text = quote.replace(/\s+/g, " ").trim();
  return text.length > QUOTE_SHOWN ? `${text.slice(0, QUOTE_SHOWN).trimEnd()}…` : text;
}
