"""From an uploaded file to clean text by page. Plain Python: the guarded reader imports it."""

from typing import Final, Literal

Code = Literal[
    "encrypted",
    "damaged",
    "no_text_layer",
    "too_large",
    "too_slow",
    "unreadable_text",
    "empty",
]

# What the uploader can do about each.
DETAILS: Final[dict[Code, str]] = {
    "encrypted": "The PDF opens only with a password. Save a copy without one and upload that.",
    "damaged": "The file is damaged or is not a PDF. Export it again from its source.",
    "no_text_layer": "The PDF holds pictures of pages and no text. Run OCR on it, then upload it.",
    "too_large": "The file needs more memory, pages or text than one document may. Split it.",
    "too_slow": "Reading the file took too long. Split it, or print it to a new PDF.",
    "unreadable_text": "The text is in no encoding we can read. Save the file as UTF-8.",
    "empty": "The file holds no text.",
}


class ExtractionError(Exception):
    """A file that cannot be read, for a reason its uploader can understand.

    `detail` is for the uploader; `log` is the reader's last line on stderr, for the operator.
    """

    def __init__(self, code: Code, detail: str = "", *, log: str = "") -> None:
        self.code = code
        self.detail = detail or DETAILS[code]
        self.log = log
        super().__init__(f"{code}: {self.detail}")
