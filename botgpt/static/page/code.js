/** Code with a button that copies it. */

import { announce, element, icon } from "./elements.js";

/**
 * @param {string} text
 * @param {string} language as it was written, or empty
 * @returns {HTMLElement}
 */
export function codeBlock(text, language) {
  return element("figure", { class: "code" },
    element("figcaption", {},
      element("span", {}, language || "code"),
      copyButton("Copy code", () => text)),
    // It scrolls by itself where it is wider than the page, by keys too.
    element("pre", { tabindex: 0, role: "group", "aria-label": "Code" },
      element("code", {}, text)));
}

/**
 * A button that copies a text and says so.
 * @param {string} label
 * @param {() => string} text
 * @returns {HTMLButtonElement}
 */
export function copyButton(label, text) {
  const button = element("button",
    { type: "button", class: "icon-button", "aria-label": label, title: label }, icon("copy"));
  button.addEventListener("click", async () => {
    const done = await copy(text());
    button.replaceChildren(icon(done ? "check" : "warning"));
    announce(done ? "Copied." : "The browser does not let this page copy.");
    setTimeout(() => button.replaceChildren(icon("copy")), 1500);
  });
  return button;
}

/**
 * @param {string} text
 * @returns {Promise<boolean>}
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedByHand(text);
  }
}

/** The clipboard of pages that are served without TLS. */
function copiedByHand(/** @type {string} */ text) {
  const place = element("textarea", { class: "visually-hidden", "aria-hidden": "true" });
  const focused = /** @type {HTMLElement|null} */ (document.activeElement);
  place.value = text;
  document.body.append(place);
  place.select();
  const done = document.execCommand("copy");
  place.remove();
  focused?.focus();
  return done;
}
