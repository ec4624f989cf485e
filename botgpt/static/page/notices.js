/** What went wrong and what to do, above the question until it is put away or passes. */

import { announce, byId, element, iconButton } from "./elements.js";
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

// How long what was done can be undone: time to read a line and to reach a button.
const UNDO_MS = 8000;

/** Carries out what can still be undone; null where nothing can. */
let settle = /** @type {(() => Promise<void>)|null} */ (null);

/**
 * Says what was done, with a button that undoes it for some seconds, and for as long as it has
 * focus or the pointer. What is done next, or leaving the page, ends the time.
 * @param {string} text
 * @param {() => Promise<void>} undo
 * @param {() => Promise<void>} done called once where it was not undone
 */
export function undoable(text, undo, done) {
  settle?.();
  let timer = 0;
  const end = (/** @type {() => Promise<void>} */ act) => () => {
    clearTimeout(timer);
    settle = null;
    byId("toast").replaceChildren();
    return act();
  };
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => settle?.(), UNDO_MS);
  };
  settle = end(done);
  const toast = element("div", { class: "toast", onpointerenter: () => clearTimeout(timer),
    onpointerleave: () => toast.matches(":focus-within") || wait(),
    onfocusin: () => clearTimeout(timer), onfocusout: wait },
    element("p", { dir: "auto" }, text),
    element("button", { type: "button", class: "link", onclick: end(undo) }, "Undo"));
  byId("toast").replaceChildren(toast);
  announce(text);
  wait();
}

/** Ends the time in which something can be undone; returns when it is carried out. */
export async function carryOut() {
  await settle?.();
}

window.addEventListener("pagehide", carryOut);

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
