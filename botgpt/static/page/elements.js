/** Makes elements. Text is always text: nothing on this page ever parses markup. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with these attributes; those named `on…` are listeners, null and false are left out.
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node|string|number|null|undefined|false)} children
 * @returns {any}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    made.append(typeof child === "number" ? String(child) : child);
  }
  // Last: with dir="auto", browsers look through all text again for each child that comes.
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  return made;
}

/**
 * One of the page's icons, which say nothing to screen readers.
 * @param {string} name
 */
export function icon(name) {
  const drawn = document.createElementNS(SVG, "svg");
  drawn.setAttribute("class", "icon");
  drawn.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  drawn.append(use);
  return drawn;
}

/**
 * A button that shows an icon alone; its label is read and shown as a tip.
 * @param {string} label
 * @param {string} iconName
 * @param {(event: Event) => void} onclick
 * @param {Record<string, any>} [attributes]
 * @returns {HTMLButtonElement}
 */
export function iconButton(label, iconName, onclick, attributes = {}) {
  const more = { type: "button", class: "icon-button", "aria-label": label, title: label };
  return element("button", { ...more, onclick, ...attributes }, icon(iconName));
}

/**
 * An element that the page's HTML has.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found;
}

/**
 * Makes these the children of a list. Those that stay are not touched, so they keep focus.
 * @param {HTMLElement} list
 * @param {HTMLElement[]} children
 */
export function order(list, children) {
  children.forEach((child, at) => {
    if (list.children[at] !== child) list.insertBefore(child, list.children[at] ?? null);
  });
  while (list.children.length > children.length) list.lastChild?.remove();
}

/**
 * Text in which spans stand out. Offsets count code points, as the API's do.
 * @param {string} text
 * @param {[number, number][]} spans in order and apart
 * @returns {(Node|string)[]}
 */
export function marked(text, spans) {
  const characters = Array.from(text);
  const parts = [];
  let done = 0;
  for (const [start, end] of spans) {
    parts.push(characters.slice(done, start).join(""));
    parts.push(element("mark", {}, characters.slice(start, end).join("")));
    done = end;
  }
  return [...parts, characters.slice(done).join("")];
}

/**
 * Tells screen readers what the eye sees anyway.
 * @param {string} text
 */
export function announce(text) {
  byId("status").textContent = text;
}
