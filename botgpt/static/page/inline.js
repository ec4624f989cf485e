/** The inside of a block of Markdown: emphasis, code, links and the [n] of citations. */

import { element } from "./elements.js";

/**
 * What [n] stands for: `find` makes what is shown for it, or null for plain text. `version` tells
 * whether they have changed.
 * @typedef {{version: string, find: (number: number) => Node|null}} Marks
 *
 * @typedef {{node: Node, depth: number, text?: Text}} Made
 * @typedef {{run: string, length: number, opens: boolean, closes: boolean}} Run of *, _ or ~
 * @typedef {Made|Run} Piece
 */

const DEEPEST = 12;
const SAFE = new Set(["http:", "https:", "mailto:"]);
const PUNCTUATION = /[\p{P}\p{S}]/u;
const ESCAPABLE = /[!-/:-@[-`{-~]/;
const MARK = /\[(\d{1,3})\](?!\()/y;
const BRACKETED = /<([^<>\n]*)>/;
const BALANCED = /([^\s<>()]*(?:\([^\s()]*\)[^\s()]*)*)/;
const TITLE = /(?:\s+"[^"\n]{0,300}")?/;
const TARGET = new RegExp(
  `\\([ \\t]*(?:${BRACKETED.source}|${BALANCED.source})${TITLE.source}[ \\t]*\\)`, "y");
const ANGLED = /<((?:https?:\/\/|mailto:)[^\s<>]+|[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+)>/y;
const BARE = /https?:\/\/[^\s<>"`\]|]+/y;
// What is plain for sure is taken at once.
const PLAIN = /[^\\`*_~[\]!<h\n]+/y;

/**
 * @param {string} text
 * @param {Marks} marks
 * @returns {DocumentFragment}
 */
export function inline(text, marks) {
  const fragment = document.createDocumentFragment();
  for (const piece of resolved(new Scanner(text, marks).scan())) fragment.append(piece.node);
  return fragment;
}

/** Reads a text once, from left to right. */
class Scanner {
  /**
   * @param {string} text
   * @param {Marks} marks
   */
  constructor(text, marks) {
    this.text = text;
    this.marks = marks;
    this.at = 0;
    /** @type {Piece[]} */
    this.pieces = [];
    /** @type {{place: number, image: boolean}[]} where brackets were opened */
    this.brackets = [];
    /** @type {Set<number>} lengths of runs of ` that nothing closes */
    this.unclosed = new Set();
  }

  /** @returns {Piece[]} */
  scan() {
    while (this.at < this.text.length) {
      const plain = this.match(PLAIN);
      if (plain) this.push(plain[0]);
      else if (!this.special(this.text[this.at])) this.push(this.text[this.at++]);
    }
    return this.pieces;
  }

  /**
   * Reads what a character begins; false where it stands for itself.
   * @param {string} character
   * @returns {boolean}
   */
  special(character) {
    switch (character) {
      case "\\":
        return this.escape();
      case "\n":
        this.at += 1;
        this.push(element("br"));
        return true;
      case "`":
        return this.code();
      case "*":
      case "_":
      case "~":
        return this.run(character);
      case "!":
        return this.text[this.at + 1] === "[" && this.open(2, true);
      case "[":
        return this.citation() || this.open(1, false);
      case "]":
        return this.link();
      case "<":
        return this.address(ANGLED, 1);
      case "h":
        return !/\w/.test(this.text[this.at - 1] ?? "") && this.address(BARE, 0);
      default:
        return false;
    }
  }

  escape() {
    const next = this.text[this.at + 1] ?? "";
    if (next === "\n") this.push(element("br"));
    else if (ESCAPABLE.test(next)) this.push(next);
    else return false;
    this.at += 2;
    return true;
  }

  code() {
    const fence = /** @type {RegExpExecArray} */ (this.match(/`+/y, false))[0];
    let end = this.unclosed.has(fence.length) ? -1 : this.at + fence.length;
    while (end >= 0) {
      end = this.text.indexOf(fence, end);
      if (end < 0) break;
      let after = end + fence.length;
      if (this.text[after] !== "`") break;
      while (this.text[after] === "`") after += 1;
      end = after;
    }
    if (end < 0) {
      this.unclosed.add(fence.length);
      this.push(fence);
      this.at += fence.length;
      return true;
    }
    const inside = this.text.slice(this.at + fence.length, end).replaceAll("\n", " ");
    const padded = inside.startsWith(" ") && inside.endsWith(" ") && inside.trim();
    this.push(element("code", {}, padded ? inside.slice(1, -1) : inside));
    this.at = end + fence.length;
    return true;
  }

  /** @param {string} character */
  run(character) {
    const start = this.at;
    while (this.text[this.at] === character) this.at += 1;
    const length = this.at - start;
    const [before, after] = [this.text[start - 1] ?? " ", this.text[this.at] ?? " "];
    const [spaceBefore, spaceAfter] = [/\s/.test(before), /\s/.test(after)];
    const [signBefore, signAfter] = [PUNCTUATION.test(before), PUNCTUATION.test(after)];
    const left = !spaceAfter && (!signAfter || spaceBefore || signBefore);
    const right = !spaceBefore && (!signBefore || spaceAfter || signAfter);
    const within = character === "_"; // as in some_names_of_things
    const opens = left && (!within || !right || signBefore);
    const closes = right && (!within || !left || signAfter);
    if (character === "~" && length !== 2) this.push("~".repeat(length));
    else this.pieces.push({ run: character, length, opens, closes });
    return true;
  }

  citation() {
    MARK.lastIndex = this.at;
    const found = MARK.exec(this.text);
    const shown = found && this.marks.find(Number(found[1]));
    if (!found || !shown) return false;
    this.at += found[0].length;
    this.push(shown);
    return true;
  }

  /**
   * @param {number} length
   * @param {boolean} image
   */
  open(length, image) {
    this.brackets.push({ place: this.pieces.length, image });
    this.push(document.createTextNode(this.text.slice(this.at, this.at + length)));
    this.at += length;
    return true;
  }

  /** A link, or an image, which is only ever a link to it: showing it would tell its host. */
  link() {
    const opened = this.brackets.pop();
    this.at += 1;
    const target = opened && this.match(TARGET, false);
    const href = target && safe(target[1] ?? target[2]);
    if (!opened || !target || !href) {
      this.push("]");
      return true;
    }
    this.at += target[0].length;
    const inside = resolved(this.pieces.splice(opened.place).slice(1));
    const label = inside.length ? inside.map((one) => one.node) : [href];
    this.push(anchor(href, ...(opened.image ? ["Image: ", ...label] : label)));
    if (!opened.image) this.brackets = []; // no link within a link
    return true;
  }

  /**
   * An address that is its own label.
   * @param {RegExp} pattern
   * @param {number} group
   */
  address(pattern, group) {
    const found = this.match(pattern, false);
    if (!found) return false;
    const address = pattern === BARE ? trimmed(found[0]) : found[group];
    const href = safe(address.includes(":") ? address : `mailto:${address}`);
    if (!href) return false;
    this.at += pattern === BARE ? address.length : found[0].length;
    this.push(anchor(href, address));
    return true;
  }

  /**
   * @param {RegExp} pattern a sticky one
   * @param {boolean} [taken]
   */
  match(pattern, taken = true) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found && taken) this.at += found[0].length;
    return found;
  }

  /** @param {Node|string} shown text joins the text before it */
  push(shown) {
    const last = this.pieces.at(-1);
    if (typeof shown !== "string") this.pieces.push({ node: shown, depth: 0 });
    else if (last && "text" in last && last.text) last.text.appendData(shown);
    else {
      const text = document.createTextNode(shown);
      this.pieces.push({ node: text, text, depth: 0 });
    }
  }
}

/**
 * Emphasis, by the runs that open and close it. A run that nothing matches is text.
 * @param {Piece[]} pieces
 * @returns {Made[]}
 */
function resolved(pieces) {
  /** @type {Piece[]} */
  const out = [];
  /** @type {Record<string, number>} below these places no run opens anything */
  const bottom = { "*": 0, _: 0, "~": 0 };
  for (const piece of pieces) {
    if ("node" in piece) {
      out.push(piece);
      continue;
    }
    const closing = { ...piece };
    while (closing.closes && closing.length) {
      const at = opener(out, closing.run, Math.min(bottom[closing.run], out.length));
      const inside = at < 0 ? [] : out.slice(at + 1).map(asMade);
      const depth = inside.reduce((most, one) => Math.max(most, one.depth), 0) + 1;
      if (at < 0 || depth > DEEPEST) {
        bottom[closing.run] = out.length;
        break;
      }
      const opening = /** @type {Run} */ (out[at]);
      const used = Math.min(2, opening.length, closing.length);
      const tag = closing.run === "~" ? "del" : used === 2 ? "strong" : "em";
      out.length = at;
      opening.length -= used;
      closing.length -= used;
      if (opening.length) out.push(opening);
      out.push({ node: element(tag, {}, ...inside.map((one) => one.node)), depth });
    }
    if (closing.length) out.push(closing.opens ? closing : asMade(closing));
  }
  return out.map(asMade);
}

/**
 * @param {Piece[]} pieces
 * @param {string} run
 * @param {number} bottom below which not to look
 */
function opener(pieces, run, bottom) {
  for (let at = pieces.length - 1; at >= bottom; at -= 1) {
    const piece = pieces[at];
    if ("run" in piece && piece.run === run) return at;
  }
  return -1;
}

/**
 * @param {Piece} piece
 * @returns {Made}
 */
function asMade(piece) {
  if ("node" in piece) return piece;
  return { node: document.createTextNode(piece.run.repeat(piece.length)), depth: 0 };
}

/**
 * The address as a link may have it, or "" for one that is relative or of another kind.
 * @param {string} address
 */
function safe(address) {
  try {
    const url = new URL(address);
    return SAFE.has(url.protocol) ? url.href : "";
  } catch {
    return "";
  }
}

/** Without the signs that end a sentence, or close a bracket that the address does not open. */
function trimmed(/** @type {string} */ address) {
  let text = address.replace(/[.,;:!?'*_~]{1,20}$/, "");
  if (text.endsWith(")") && !text.includes("(")) text = text.slice(0, -1);
  return text;
}

function anchor(/** @type {string} */ href, /** @type {(Node|string)[]} */ ...label) {
  const rel = "noopener noreferrer nofollow";
  return element("a", { href, rel, target: "_blank", title: href }, ...label);
}
