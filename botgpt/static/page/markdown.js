/**
 * Markdown as models write it, made into elements: CommonMark's blocks and GitHub's tables.
 *
 * Nothing is ever parsed as HTML: tags are shown as they were written. Patterns match in linear
 * time and nesting has bounds, for the text may be anyone's.
 */

import { element } from "./elements.js";
import { codeBlock } from "./code.js";
import { inline } from "./inline.js";

/** @typedef {import("./inline.js").Marks} Marks */
/** @typedef {{kind: string, raw: string, [more: string]: any}} Block */

const DEEPEST = 8;
const FENCE = /^( {0,3})(`{3,}|~{3,})/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]|$)/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:( +)|$)/;
const INDENT = /^ */;

/** Text that grows: only the blocks that change are made anew, so that what is read stays. */
export class Prose {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
    /** @type {string[]} */
    this.shown = [];
  }

  /**
   * @param {string} text
   * @param {Marks} marks what [n] stands for
   */
  show(text, marks) {
    const lines = text.split(/\r\n?|\n/).map((line) => line.replace(/^\t+/, spaces));
    const blocks = parse(lines, 0);
    const keys = blocks.map((block) => marks.version + block.raw);
    let same = 0;
    while (same < keys.length && keys[same] === this.shown[same]) same += 1;
    while (this.place.childNodes.length > same) this.place.lastChild?.remove();
    for (const block of blocks.slice(same)) this.place.append(made(block, marks));
    this.shown = keys;
  }
}

/** @param {string} tabs */
function spaces(tabs) {
  return "    ".repeat(tabs.length);
}

/**
 * @param {string[]} lines
 * @param {number} depth of quotes and lists around them
 * @returns {Block[]}
 */
function parse(lines, depth) {
  const blocks = [];
  for (let at = 0; at < lines.length; ) {
    if (!lines[at].trim()) {
      at += 1;
      continue;
    }
    const block = readBlock(lines, at, depth);
    blocks.push({ ...block, raw: lines.slice(at, block.end).join("\n") });
    at = block.end;
  }
  return blocks;
}

/**
 * The block that begins at a line, and the line where it ends.
 * @param {string[]} lines
 * @param {number} at
 * @param {number} depth
 * @returns {any}
 */
function readBlock(lines, at, depth) {
  const line = lines[at];
  if (isFence(line)) return readCode(lines, at);
  const heading = HEADING.exec(line);
  if (heading) {
    const text = line.slice(heading[0].length).trim().replace(/(^|[ \t])#+$/, "");
    return { kind: "heading", level: heading[1].length, text, end: at + 1 };
  }
  if (RULE.test(line)) return { kind: "rule", end: at + 1 };
  if (depth < DEEPEST && QUOTE.test(line)) return readQuote(lines, at, depth);
  if (depth < DEEPEST && ITEM.test(line)) return readList(lines, at, depth);
  if (isTable(lines, at)) return readTable(lines, at);
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !interrupts(lines, end, depth)) end += 1;
  const text = lines.slice(at, end).map((one) => one.replace(/^[ \t]+/, "")).join("\n");
  return { kind: "paragraph", text, end };
}

/**
 * Whether a line ends the paragraph before it.
 * @param {string[]} lines
 * @param {number} at
 * @param {number} depth
 */
function interrupts(lines, at, depth) {
  const line = lines[at];
  if (isFence(line) || HEADING.test(line) || RULE.test(line)) return true;
  if (depth >= DEEPEST) return false;
  const item = ITEM.exec(line);
  // A number that happens to begin a line starts no list, unless it is the first.
  return QUOTE.test(line) || (item !== null && /^(?:[-*+]|1[.)])$/.test(item[2]) && !!item[3])
    || isTable(lines, at);
}

/** Three ` that are closed on the same line are code within it. */
function isFence(/** @type {string} */ line) {
  const fence = FENCE.exec(line);
  return fence !== null && (fence[2][0] === "~" || !line.slice(fence[0].length).includes("`"));
}

/** A fenced block; one whose end is still to come goes to the end of the text. */
function readCode(/** @type {string[]} */ lines, /** @type {number} */ at) {
  const [opening, indent, marker] = /** @type {string[]} */ (FENCE.exec(lines[at]));
  const language = lines[at].slice(opening.length).trim().split(/\s/, 1)[0];
  const strip = new RegExp(`^ {0,${indent.length}}`);
  const code = [];
  let end = at + 1;
  for (; end < lines.length; end += 1) {
    const closing = lines[end].trim();
    if (closing.length >= marker.length && closing === marker[0].repeat(closing.length)) break;
    code.push(lines[end].replace(strip, ""));
  }
  return { kind: "code", language, text: code.join("\n"), end: Math.min(end + 1, lines.length) };
}

/**
 * @param {string[]} lines
 * @param {number} at
 * @param {number} depth
 */
function readQuote(lines, at, depth) {
  const inside = [];
  let end = at;
  for (; end < lines.length && lines[end].trim(); end += 1) {
    const quoted = QUOTE.test(lines[end]);
    if (!quoted && interrupts(lines, end, depth)) break;
    inside.push(quoted ? lines[end].replace(QUOTE, "") : lines[end]);
  }
  return { kind: "quote", blocks: parse(inside, depth + 1), end };
}

/**
 * A list; what stands two columns or more to the right of its markers belongs to the item.
 * @param {string[]} lines
 * @param {number} at
 * @param {number} depth
 */
function readList(lines, at, depth) {
  const first = /** @type {string[]} */ (ITEM.exec(lines[at]));
  const [margin, ordered] = [first[1].length, /\d/.test(first[2])];
  const items = [];
  let [end, blank, loose] = [at, false, false];
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    if (!line.trim()) {
      blank = true;
      if (items.length) items[items.length - 1].push("");
      continue;
    }
    const indent = /** @type {string[]} */ (INDENT.exec(line))[0].length;
    const item = ITEM.exec(line);
    const beside = indent < margin + 2;
    if (item && beside && !RULE.test(line)) {
      if (/\d/.test(item[2]) !== ordered) break;
      loose ||= blank;
      items.push([line.slice(item[0].length)]);
    } else if (!beside) {
      items[items.length - 1].push(line.slice(Math.min(indent, margin + first[2].length + 1)));
    } else {
      if (blank || interrupts(lines, end, depth)) break;
      items[items.length - 1].push(line);
    }
    blank = false;
  }
  const start = ordered ? Number.parseInt(first[2], 10) : 1;
  const parsed = items.map((item) => parse(item, depth + 1));
  return { kind: "list", ordered, start, loose, items: parsed, end };
}

/** @param {string} line */
function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function isTable(/** @type {string[]} */ lines, /** @type {number} */ at) {
  if (!lines[at].includes("|") || !lines[at + 1]?.includes("-")) return false;
  const rule = cells(lines[at + 1]);
  return rule.every((cell) => /^:?-+:?$/.test(cell)) && rule.length === cells(lines[at]).length;
}

function readTable(/** @type {string[]} */ lines, /** @type {number} */ at) {
  const head = cells(lines[at]);
  const numeric = cells(lines[at + 1]).map((cell) => cell.endsWith(":"));
  const rows = [];
  let end = at + 2;
  for (; end < lines.length && lines[end].includes("|"); end += 1) {
    rows.push(cells(lines[end]).slice(0, head.length));
  }
  return { kind: "table", head, numeric, rows, end };
}

/**
 * @param {Block} block
 * @param {Marks} marks
 * @returns {HTMLElement}
 */
function made(block, marks) {
  switch (block.kind) {
    case "code":
      return codeBlock(block.text, block.language);
    case "heading":
      // The page's own are above those of an answer, which begin with one or two signs.
      return element(`h${Math.min(Math.max(block.level, 2) + 1, 6)}`, { dir: "auto" },
        inline(block.text, marks));
    case "rule":
      return element("hr");
    case "quote":
      return element("blockquote", { dir: "auto" },
        ...block.blocks.map((/** @type {Block} */ one) => made(one, marks)));
    case "list":
      return madeList(block, marks);
    case "table":
      return madeTable(block, marks);
    default:
      return element("p", { dir: "auto" }, inline(block.text, marks));
  }
}

function madeList(/** @type {Block} */ list, /** @type {Marks} */ marks) {
  const items = list.items.map((/** @type {Block[]} */ blocks) => element("li", { dir: "auto" },
    ...blocks.map((block) => block.kind === "paragraph" && !list.loose
      ? inline(block.text, marks)
      : made(block, marks))));
  const start = list.ordered && list.start !== 1 ? { start: list.start } : {};
  return element(list.ordered ? "ol" : "ul", start, ...items);
}

function madeTable(/** @type {Block} */ table, /** @type {Marks} */ marks) {
  const row = (/** @type {string} */ tag, /** @type {string[]} */ texts) => element("tr", {},
    ...texts.map((text, at) => element(tag, { class: table.numeric[at] && "numeric", dir: "auto" },
      inline(text, marks))));
  // It scrolls by itself where it is wider than the page, by keys too.
  return element("div", { class: "table", tabindex: 0, role: "group", "aria-label": "Table" },
    element("table", {},
      element("thead", {}, row("th", table.head)),
      element("tbody", {}, ...table.rows.map((/** @type {string[]} */ one) => row("td", one)))));
}
