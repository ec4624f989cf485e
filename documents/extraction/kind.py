"""What an uploaded file is, judged by its content and never by its name."""

import codecs
from typing import Final, Literal

Kind = Literal["pdf", "txt"]

# How much of a file `sniff` wants to see.
HEAD_BYTES: Final = 65_536

# Readers accept a PDF header after some junk within the first 1,024 bytes (ISO 32000-1, annex H.3
# of Adobe's implementation notes).
_PDF_HEADER_WITHIN: Final = 1024

# UTF-32's little-endian mark begins with UTF-16's, so the longer ones come first.
BOMS: Final[tuple[tuple[bytes, str], ...]] = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# Formats whose first bytes may look like text, or that are text to machines only (RTF, PostScript).
_NOT_TEXT: Final = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x89PNG",
    b"GIF8",
    b"\xff\xd8\xff",
    b"\x7fELF",
    b"\x1f\x8b",
    b"BZh",
    b"7z\xbc\xaf",
    b"Rar!",
    b"\xd0\xcf\x11\xe0",
    b"{\\rtf",
    b"%!PS",
)

# Line ends, tabs, form feeds, the escape of terminal colours and DOS's end of file may stand in
# text. Of the others (NUL among them) one may be a slip, and every hundredth; in compressed data
# every ninth byte is one.
_CONTROLS: Final = bytes(set(range(0x20)) - set(b"\t\n\v\f\r\x1a\x1b")) + b"\x7f"
_CONTROLS_ALLOWED: Final = 1 / 100

# In UTF-16 each letter of ASCII, each space and each line end has a byte of zero on the same side;
# running text in any script that parts its words has at least this many.
_ZEROS_IN_UTF16: Final = 1 / 20


def sniff(head: bytes) -> Kind | None:
    """The kind of the file that begins with `head` (up to HEAD_BYTES), or None if we take no such.

    Markdown, CSV and other plain text are "txt", and so is a file of no bytes: reading it then says
    that it is empty. UTF-32 needs its byte order mark.
    """
    if b"%PDF-" in head[:_PDF_HEADER_WITHIN]:
        return "pdf"
    if head.startswith(_NOT_TEXT):
        return None
    return "txt" if _is_text(head) else None


def unicode_encoding(head: bytes) -> str | None:
    """UTF-8 with a mark, UTF-16 or UTF-32: by byte order mark, else by where the zeros are.

    Decoding with what is returned also drops the mark.
    """
    by_mark = next((encoding for bom, encoding in BOMS if head.startswith(bom)), None)
    return by_mark or _unmarked_utf16(head)


def _unmarked_utf16(head: bytes) -> str | None:
    even, odd = head[:HEAD_BYTES:2].count(0), head[1:HEAD_BYTES:2].count(0)
    few = min(len(head), HEAD_BYTES) / 2 * _ZEROS_IN_UTF16
    if odd > few and odd > 1 and not even:
        return "utf-16-le"
    return "utf-16-be" if even > few and even > 1 and not odd else None


def _is_text(head: bytes) -> bool:
    encoding = unicode_encoding(head)
    if encoding is None:
        return _few_controls(head)
    try:
        # A head may end inside a character, which a decoder told "more follows" lets pass.
        text = codecs.getincrementaldecoder(encoding)().decode(head, final=False)
    except UnicodeDecodeError:
        return False
    return _few_controls(text.encode(errors="replace"))


def _few_controls(data: bytes) -> bool:
    found = len(data) - len(data.translate(None, _CONTROLS))
    return found <= max(1, len(data) * _CONTROLS_ALLOWED)
