"""What a file is follows from its bytes."""

import codecs

import pytest

from documents.extraction.kind import sniff


@pytest.mark.parametrize(
    "head",
    [b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", b"\x00\x01junk\n" * 50 + b"%PDF-1.4", b"%PDF- just text"],
)
def test_pdf(head: bytes) -> None:
    assert sniff(head) == "pdf"


def test_a_pdf_header_further_down_is_text_about_pdfs() -> None:
    assert sniff(b"words " * 200 + b"%PDF-1.4") == "txt"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"Plain words.\r\n",
        b"# Markdown\n\n- a list\n",
        b"a;b;c\n1;2;3\n",
        b"page one\fpage two",
        b"\x1b[1mbold\x1b[0m",
        "Größe, 東京, حبيبي".encode(),
        "Größe".encode("cp1252"),
        "東京".encode()[:-1],
        codecs.BOM_UTF8 + b"marked",
        "Größe".encode("utf-16"),
        "Größe".encode("utf-32"),
        codecs.BOM_UTF16_BE + "Größe".encode("utf-16-be"),
        codecs.BOM_UTF16_LE + "cut in two".encode("utf-16-le")[:-1],
        "UTF-16 without its mark".encode("utf-16-le"),
        "Größe, без метки".encode("utf-16-be"),
        b"words and\x00NUL",
        b"a log that a crash has filled with zeros\n" * 99 + b"\0" * 30,
    ],
)
def test_text(head: bytes) -> None:
    assert sniff(head) == "txt"


@pytest.mark.parametrize(
    "head",
    [
        b"PK\x03\x04 a zip or a docx",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"\xff\xd8\xff\xe0 jpeg",
        b"MZ\x90\x00\x03\x00\x00\x00",
        b"\x7fELF\x02",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old office",
        b"{\\rtf1\\ansi words}",
        b"\x00words\x00 and\x00 NULs\x00",
        b"words \x01\x02\x03 and controls",
        bytes(range(256)) * 8,
        codecs.BOM_UTF16_LE + b"\x00\xd8\x00\xd8",
        codecs.BOM_UTF16_LE + b"a\x00\x00\x00\x00\x00",
        codecs.BOM_UTF8 + b"\xff\xfe",
    ],
)
def test_neither(head: bytes) -> None:
    assert sniff(head) is None
