/** The panel at the side, which shows documents or a page of one. On phones it covers the page. */

import { byId } from "./elements.js";

export class Panel {
  constructor() {
    this.place = byId("panel");
    this.title = byId("panel-title");
    this.body = byId("panel-body");
    /** @type {HTMLElement|null} where focus goes back to */
    this.opener = null;
    this.showing = "";
    byId("panel-close").addEventListener("click", () => this.close());
  }

  /**
   * @param {string} name what it shows, to tell one thing from another
   * @param {string} title
   * @param {...Node} content
   */
  open(name, title, ...content) {
    const focused = /** @type {HTMLElement|null} */ (document.activeElement);
    const inside = this.place.contains(focused);
    if (!inside) this.opener = focused;
    const other = this.showing !== name;
    this.showing = name;
    this.title.textContent = title;
    this.body.replaceChildren(...content);
    this.place.hidden = false;
    document.body.classList.add("with-panel");
    if (other) this.title.focus();
    else if (inside) this.#focusAgain(focused?.getAttribute("aria-label"));
  }

  /** What had focus may have been made anew. */
  #focusAgain(/** @type {string|null|undefined} */ label) {
    const buttons = [...this.place.querySelectorAll("button:enabled")];
    (buttons.find((one) => one.getAttribute("aria-label") === label) ?? this.title).focus();
  }

  close() {
    if (this.place.hidden) return;
    this.place.hidden = true;
    this.showing = "";
    document.body.classList.remove("with-panel");
    this.opener?.focus();
  }
}
