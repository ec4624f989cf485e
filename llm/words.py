"""Text made ready for PostgreSQL's word parser, the same for documents and questions.

The parser reads `and/or` as a path, `customers.The` as a host, `1,234` as two numbers, `-12` as
another number than `12`, and a run of Chinese as one word. What is written here in several ways
becomes one.
"""

import re
import unicodedata

_APOSTROPHES = str.maketrans("\u2019\u2018\u02bc\uff07", "''''")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_SIGN = re.compile(r"-(?=\$?\d)")
_MISSING_SPACE = re.compile(r"(?<=[a-z])\.(?=[A-Z])")
_FISCAL_YEAR = re.compile(r"\b[FC]Y\s?'?(?:20)?(\d{2})\b", re.IGNORECASE)
_QUARTER = re.compile(r"\bQ([1-4])\b", re.IGNORECASE)
_QUARTERS = {
    "1": "first quarter",
    "2": "second quarter",
    "3": "third quarter",
    "4": "fourth quarter",
}
_EXTENSION = re.compile(r"\.\w{1,4}$")
_NAME_BREAKS = re.compile(r"[._\-]+")

# The parser knows the punctuation of ASCII; what else there is depends on the database's locale.
_SYMBOL = re.compile(r"[^\w\s\x00-\x7f]")

# Scripts written without spaces: Japanese, Chinese, Thai.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f]{2,}")


def searchable(text: str) -> str:
    """The text with one form for each number, year, quarter and apostrophe, and words apart.

    Scripts without spaces become pairs of characters (bigrams), as search engines index them.
    """
    text = text.translate(_APOSTROPHES).replace("/", " ")
    text = _SYMBOL.sub(_space_unless_mark, text)
    text = _THOUSANDS.sub("", text)
    text = _SIGN.sub(" ", text)
    text = _MISSING_SPACE.sub(". ", text)
    text = _FISCAL_YEAR.sub(r"20\1", text)
    text = _QUARTER.sub(lambda match: _QUARTERS[match[1]], text)
    return _UNSPACED.sub(_pairs, text)


def searchable_name(name: str) -> str:
    """A file's name as words: `ACME_2019_10K.pdf` is `ACME 2019 10K`."""
    return searchable(_NAME_BREAKS.sub(" ", _EXTENSION.sub("", name)))


def _space_unless_mark(symbol: re.Match[str]) -> str:
    """Marks are parts of letters: vowels of Hindi and Hebrew, accents set apart."""
    return symbol[0] if unicodedata.category(symbol[0]).startswith("M") else " "


def _pairs(run: re.Match[str]) -> str:
    text = run[0]
    return " " + " ".join(text[start : start + 2] for start in range(len(text) - 1)) + " "
