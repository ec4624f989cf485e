/** What went wrong and what to do, above the question until it is put away or passes. */

import { byId, element, iconButton } from "./elements.js";
import { Problem } from "./problems.js";

/**
 * Tells of a problem. A later one of the same kind takes its place.
 * @param {unknown} problem
 * @param {{label: string, act: () => void}} [remedy] a button that may mend it
 */
export function tell(problem, remedy) {
  if (!(problem instanceof Problem)) console.error(problem);
  // A missing key is asked for by a dialog.
  if (problem instanceof Problem && problem.status === 401) return;
  const text = problem instanceof Problem ? problem.told : "Something went wrong in this page.";
  show(text, "problem", remedy);
}

/**
 * @param {string} text
 * @param {"problem"|"note"} kind
 * @param {{label: string, act: () => void}} [remedy]
 */
export function show(text, kind, remedy) {
  clear();
  const button = remedy && element("button", { type: "button", class: "button", onclick: () => {
    clear();
    remedy.act();
  } }, remedy.label);
  byId("notices").append(element("div", { class: `notice ${kind}`, role: "alert" },
    element("p", { dir: "auto" }, text),
    button,
    iconButton("Put away", "close", clear)));
}

/** Puts away what is told. */
export function clear() {
  byId("notices").replaceChildren();
}

/** The state of the network, for as long as it is down. */
export function watchNetwork() {
  const bar = byId("network");
  const look = () => {
    bar.hidden = navigator.onLine;
  };
  window.addEventListener("online", look);
  window.addEventListener("offline", look);
  look();
}
