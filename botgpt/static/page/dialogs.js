/** Questions that have to be answered before anything else. */

import { byId } from "./elements.js";

/**
 * Asks whether to do something that cannot be undone.
 * @param {string} title
 * @param {string} text
 * @param {string} verb what the button says
 * @returns {Promise<boolean>}
 */
export function confirmed(title, text, verb) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = verb;
  return answered(dialog);
}

/**
 * Asks for a line of text, with what it is now.
 * @param {string} title
 * @param {string} text
 * @returns {Promise<string|null>} null where it stays as it was
 */
export async function asked(title, text) {
  byId("ask-title").textContent = title;
  const field = byId("ask-text");
  field.value = text;
  const dialog = byId("ask");
  const done = answered(dialog);
  field.select();
  const given = (await done) ? field.value.trim() : "";
  return given && given !== text ? given : null;
}

/**
 * Asks for an API key until one is given.
 * @param {string} why
 * @returns {Promise<{key: string, remembered: boolean}|null>} null where none is given
 */
export async function askedForKey(why) {
  byId("key-why").textContent = why;
  byId("key-text").value = "";
  const given = await answered(byId("key"));
  const key = byId("key-text").value.trim();
  return given && key ? { key, remembered: byId("key-remember").checked } : null;
}

/**
 * Opens a dialog; the browser gives focus back to where it was.
 * @param {HTMLDialogElement} dialog
 * @returns {Promise<boolean>}
 */
function answered(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
