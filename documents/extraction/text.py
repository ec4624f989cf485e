"""Cleaning of extracted text. Offsets in a document count in text that went through here."""

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise

# Where a line ended in a hyphen PDFium writes U+0002 (older builds U+FFFE) for hyphen and line end.
_MARK = "\x02"

_LINE_END = re.compile("\r\n|[\r\v\x85\u2028\u2029]")
_SOFT_HYPHEN = re.compile("\xad\n?")
_HYPHEN_AT_LINE_END = re.compile(r"(?<=[^\W\d_])-\n(?=[^\W\d_])")
_MANY_BLANK_LINES = re.compile(r"\n{4,}")

# Controls but tab, line feed and the mark, lone surrogates, ligatures, the shapes that Arabic and
# Hebrew letters take in print, invisible and fixed spaces, marks of direction, the noncharacters.
# One pass finds them all; few texts hold any.
_ODD = re.compile(
    "[\x00\x01\x03-\x08\x0e-\x1f\x0c\x7f-\x9f\xa0\u061c\u2007\u200b\u200e\u200f\u202a-\u202f"
    "\u2060\u2066-\u2069\ud800-\udfff\ufb00-\ufb4f\ufb50-\ufdfb\ufe70-\ufefc\ufeff\ufffe\uffff]"
)
_SPACES = "\xa0\u2007\u202f"

# A letter and its accents, or the parts of a Korean syllable, as macOS writes them: composed, for
# that is how questions are typed. So short that composing takes linear time.
_DECOMPOSED = re.compile(
    "\\w[\u0300-\u036f\u3099\u309a]{1,8}|[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?"
)

_WORD = re.compile(r"[^\W\d_]+")
_LAST_WORD = re.compile(r"[^\W\d_]+$")

# Longer than any word that is broken at a line end; it bounds the search beside a mark.
_LONGEST_HALF = 40


def clean(text: str) -> str:
    """One text (a title, say) made fit to store, search and show. Linear in its length."""
    return clean_pages([text])[0]


def clean_pages(pages: Iterable[str]) -> list[str]:
    """The pages of one document, cleaned; takes time linear in their length.

    Line ends become "\\n"; control characters, soft hyphens, marks of direction and trailing spaces
    go; lone surrogates become U+FFFD; ligatures and shaped letters become letters, fixed spaces
    plain ones, and a letter and its accent one character; three and more blank lines become two.
    Words broken at a line end are joined.
    """
    rough = [_replace_odd(page) for page in pages]
    if any(_MARK in page for page in rough):
        known = _vocabulary(rough)
        rough = [_join_broken_words(page, known) for page in rough]
    return [_MANY_BLANK_LINES.sub("\n\n\n", page).strip("\n") for page in rough]


def _replace_odd(text: str) -> str:
    """Everything that concerns single characters and lines; broken words are left marked."""
    text = _LINE_END.sub("\n", text).replace("\ufffe", _MARK)
    text = _ODD.sub(_replacement, text)
    text = _DECOMPOSED.sub(lambda match: unicodedata.normalize("NFC", match[0]), text)
    text = _SOFT_HYPHEN.sub("", text)
    return _HYPHEN_AT_LINE_END.sub(_MARK, _without_trailing_spaces(text))


def _without_trailing_spaces(text: str) -> str:
    # Not a pattern: one for "spaces before a line end" is quadratic in a long run of spaces.
    return "\n".join(line.rstrip() for line in text.split("\n"))


def _replacement(match: re.Match[str]) -> str:
    odd = match[0]
    if odd in _SPACES:
        return " "
    if "\ufb00" <= odd <= "\ufefc":
        return unicodedata.normalize("NFKC", odd)
    return "\ufffd" if "\ud800" <= odd <= "\udfff" else ""


def _vocabulary(pages: Iterable[str]) -> set[str]:
    """The words of a document in small letters, without the halves beside a mark."""
    known: set[str] = set()
    for page in pages:
        parts = page.split(_MARK)
        for index, part in enumerate(parts):
            start = len(_first_word(part)) if index > 0 else 0
            end = len(part) - (len(_last_word(part)) if index < len(parts) - 1 else 0)
            known.update(_WORD.findall(part[start:end].lower()))
    return known


def _join_broken_words(page: str, known: set[str]) -> str:
    parts = page.split(_MARK)
    pieces = parts[:1]
    for before, after in pairwise(parts):
        pieces += (_joint(before, after, known), after)
    return _without_trailing_spaces("".join(pieces))  # a mark may have stood behind some


def _joint(before: str, after: str, known: set[str]) -> str:
    """A hyphen if the word has one of its own (`third-party`), nothing if the line end made it.

    The document itself knows: the joined word may stand elsewhere in it, or else the second half
    alone. Filings, set without hyphenation, break only at hyphens of their own.
    """
    if not (before[-1:].isalnum() and after[:1].isalnum()):
        return ""
    left, right = _last_word(before), _first_word(after)
    if not (left and right) or right[0].isupper():
        return "-"
    if (left + right).lower() in known:
        return ""
    return "-" if right.lower() in known else ""


def _first_word(text: str) -> str:
    match = _WORD.match(text[:_LONGEST_HALF])
    return match[0] if match else ""


def _last_word(text: str) -> str:
    match = _LAST_WORD.search(text[-_LONGEST_HALF:])
    return match[0] if match else ""
