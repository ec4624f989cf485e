/** A menu of what can be done with one thing, behind a button beside it. */

import { element, icon, iconButton } from "./elements.js";

/** @typedef {{label: string, icon: string, act: () => void}} Item */

/**
 * The button, which opens the menu; Escape and a click elsewhere close it.
 * @param {string} label
 * @param {Item[]} items
 */
export function menuButton(label, items) {
  const button = iconButton(label, "dots", () => open(button, items),
    { "aria-haspopup": "menu", "aria-expanded": "false" });
  return button;
}

/**
 * @param {HTMLElement} button
 * @param {Item[]} items
 */
function open(button, items) {
  const menu = element("div", { class: "menu", popover: "auto", role: "menu" },
    ...items.map(({ label, icon: name, act }) => element("button", {
      type: "button", role: "menuitem", tabindex: "-1",
      onclick: () => {
        menu.hidePopover();
        act();
      },
    }, icon(name), label)));
  menu.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => move(menu, event));
  menu.addEventListener("toggle", (/** @type {any} */ event) => {
    button.setAttribute("aria-expanded", String(event.newState === "open"));
    if (event.newState === "closed") menu.remove();
  });
  button.after(menu);
  menu.showPopover();
  place(menu, button.getBoundingClientRect());
  menu.querySelector("button").focus();
}

/**
 * Below the button, or above it where there is no room.
 * @param {HTMLElement} menu
 * @param {DOMRect} beside
 */
function place(menu, beside) {
  const { width, height } = menu.getBoundingClientRect();
  const below = beside.bottom + height <= innerHeight;
  menu.style.top = `${below ? beside.bottom : Math.max(0, beside.top - height)}px`;
  menu.style.left = `${Math.max(0, Math.min(beside.right, innerWidth) - width)}px`;
}

/**
 * Keys of a menu stay in it: the list behind it and the page have the same ones.
 * @param {HTMLElement} menu
 * @param {KeyboardEvent} event
 */
function move(menu, event) {
  event.stopPropagation();
  const items = [...menu.querySelectorAll("button")];
  const at = items.indexOf(/** @type {any} */ (document.activeElement));
  const last = items.length - 1;
  const to = { ArrowDown: at === last ? 0 : at + 1, ArrowUp: at > 0 ? at - 1 : last,
    Home: 0, End: last }[event.key];
  if (event.key === "Tab") menu.hidePopover();
  if (to === undefined) return;
  event.preventDefault();
  items[to].focus();
}
