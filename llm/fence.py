"""Keeps the text of others inside its place in a prompt: it is read, never obeyed.

What could end that place early, or pass for a part of the prompt, is made inert with the least
change to honest text. Only prompts are changed: pages and quotes stay as they were stored.
"""

import re

# Characters that no reader sees, but a model does: Unicode's tags and variation selectors, with
# which whole sentences can be hidden; marks of direction; blanks without width; deprecated
# controls. The joiners U+200C and U+200D stay: Persian, Indic scripts and emoji need them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e"
    "\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e0fff]"
)
_LINE_END = re.compile("[\r\v\f\x85\u2028\u2029]")
# A mark of ours, opening or closing; and the marks of roles in chat formats: <|start|> (Harmony,
# Llama 3 and others), [INST] and <<SYS>> (Llama 2, Mistral).
_MARK = re.compile(
    r"[<\uff1c\[](?:(?<!\[)(?=[\s/\u200c\u200d]*(?i:passage|summary)\b|\||<(?i:/?SYS)\b)"
    r"|(?<=\[)(?=(?i:/?INST)\]))"
)
# What citations take for a mark: [1], [1, 2], 【1】. With a backslash it is Markdown for the same.
_NUMBER = re.compile(r"[\[【](\d[\d\s,]*)[\]】]")


def visible(text: str) -> str:
    """The text without characters that only a model, and no reader, would see."""
    return _UNSEEN.sub("", _LINE_END.sub("\n", text.replace("\r\n", "\n")))


def quoted(text: str) -> str:
    """Text to stand between marks of ours: it holds none of them, and no number of a passage."""
    return unnumbered(_MARK.sub(_inert, visible(text)))


def label(text: str) -> str:
    """A name or heading to stand in a mark of ours, or on a line: one line without quotes."""
    return " ".join(quoted(text).replace('"', "'").replace("<", "\u2039").split())


def said(role: str, text: str) -> str:
    """What somebody said, as one entry of a list: only its first line begins at the margin."""
    lines = _MARK.sub(_inert, visible(text)).strip().split("\n")
    return f"{role}: " + "\n  ".join(lines)


def unnumbered(text: str) -> str:
    """The text with its own [1] as \\[1\\], Markdown for the same that cites nothing."""
    return _NUMBER.sub(r"\\[\1\\]", text)


def _inert(mark: re.Match[str]) -> str:
    return "[ " if mark[0] == "[" else "\u2039"
