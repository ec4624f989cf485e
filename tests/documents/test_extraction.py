"""Files to clean pages, and each refusal with what its uploader can do."""

import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.generic import (
    DecodedStreamObject,
    DictionaryObject,
    EncodedStreamObject,
    NameObject,
)

from documents.extraction import DETAILS, ExtractionError, guard
from documents.extraction.guard import Extraction, extract
from documents.extraction.kind import Kind
from documents.extraction.outline import OutlineItem

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT.parent / "shared/data/pdf"
MEMORY = 1 << 30

FAKE_READER = """import os, signal, sys, time
HEADER = '{"kind": "txt", "pages": 1, "title": ""}'
PAGE = '{"page": 1, "text": "%s"}'
"""


def read(path: Path, kind: Kind = "pdf", *, seconds: float = 30) -> Extraction:
    return extract(path, kind, memory_bytes=MEMORY, seconds=seconds)


def sample(name: str) -> Path:
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the sample {name} is not in {SAMPLES}")
    return path


def text_file(folder: Path, content: bytes) -> Path:
    path = folder / "upload"
    path.write_bytes(content)
    return path


def pdf_file(folder: Path, *pages: str, title: str = "", password: str | None = None) -> Path:
    """A PDF with one line of text a page."""
    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): font})
    for text in pages:
        page = writer.add_blank_page(612, 792)
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
    if title:
        writer.add_metadata({"/Title": title})
    if password is not None:
        writer.encrypt(user_password=password, owner_password="owner", algorithm="AES-256")
    path = folder / "upload"
    with path.open("wb") as file:
        writer.write(file)
    return path


def bookmarked(folder: Path, *titles: str) -> Path:
    """A PDF with a page and a bookmark for each title, the later ones below the first."""
    writer = PdfWriter(clone_from=pdf_file(folder, *titles))
    parent = None
    for number, title in enumerate(titles):
        item = writer.add_outline_item(title=title, page_number=number, parent=parent)
        parent = parent or item
    path = folder / "bookmarked"
    with path.open("wb") as file:
        writer.write(file)
    return path


def fake_reader(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Put a module of ours where the guard finds the reader."""
    package = folder / "documents/extraction"
    package.mkdir(parents=True)
    for name in (package.parent, package):
        (name / "__init__.py").touch()
    (package / "reader.py").write_text(f"{FAKE_READER}{code}\n")
    monkeypatch.setattr(guard, "_ROOT", folder)


# --- PDF ---


def test_a_pdf_gives_title_pages_and_progress(tmp_path: Path) -> None:
    path = pdf_file(tmp_path, "Page one.", "", "Page three.", title="A\0 title\r\non one line")
    seen: list[tuple[int, int]] = []

    extraction = extract(
        path,
        "pdf",
        memory_bytes=MEMORY,
        seconds=30,
        on_page=lambda done, total: seen.append((done, total)),
    )

    assert extraction == Extraction("A title on one line", ["Page one.", "", "Page three."])
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_an_empty_password_needs_no_telling(tmp_path: Path) -> None:
    assert read(pdf_file(tmp_path, "Locked lightly.", password="")).pages == ["Locked lightly."]


def test_a_page_that_pdfium_cannot_read_is_read_by_pypdf(tmp_path: Path) -> None:
    pages = run_reader_with(
        "import pypdfium2\n"
        "def fail(self): raise pypdfium2.PdfiumError('no')\n"
        "pypdfium2.PdfPage.get_textpage = fail\n",
        pdf_file(tmp_path, "Page one."),
    )

    assert '"text": "Page one."' in pages


def test_a_file_that_pypdf_cannot_open_is_read_by_pdfium(tmp_path: Path) -> None:
    pages = run_reader_with(
        "import pypdf\ndef fail(*a, **k): raise KeyError('no')\npypdf.PdfReader = fail\n",
        pdf_file(tmp_path, "Page one."),
    )

    assert '"text": "Page one."' in pages


def run_reader_with(patch: str, path: Path) -> str:
    code = f"{patch}from documents.extraction.reader import main\n"
    code += f"main(['pdf', {str(path)!r}, '{MEMORY}', '20', '1000', '10'])"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ran.stdout


@pytest.mark.parametrize(
    ("name", "pages", "page", "text"),
    [
        ("APPLE_2019_10K.pdf", 101, 22, "iPhone (1) $ 142,381 (14)% $ 164,888 18 % $ 139,337\n"),
        ("APPLE_2019_10K.pdf", 101, 22, "Apple-branded and third-party accessories"),
        ("CORNING_2018_10K.pdf", 141, 1, "CORNING INCORPORATED"),
        ("COSTCO_2023Q3_EARNINGS.pdf", 4, 1, "Costco Wholesale Corporation"),
        ("EBAY_2018_10K.pdf", 187, 1, "eBay Inc."),
        ("NETFLIX_2018_10K.pdf", 82, 1, "Netflix, Inc."),
        ("multicolumn.pdf", 3, 1, "consectetuer adipiscing elit"),
        ("habibi.pdf", 1, 1, "habibi"),
        ("GeoTopo-komprimiert.pdf", 117, 1, "Geometrie"),
    ],
)
def test_real_files(name: str, pages: int, page: int, text: str) -> None:
    extraction = read(sample(name))

    assert len(extraction.pages) == pages
    assert text.lower() in extraction.pages[page - 1].lower()


def test_arabic_stays_arabic() -> None:
    text = read(sample("habibi.pdf")).pages[0]

    assert any("\u0600" <= char <= "\u06ff" for char in text)


def refusal(path: Path, kind: Kind = "pdf", **limits: float) -> ExtractionError:
    bounds = {"memory_bytes": MEMORY, "seconds": 30, **limits}
    with pytest.raises(ExtractionError) as caught:
        extract(path, kind, **bounds)  # type: ignore[arg-type]
    assert caught.value.detail == DETAILS[caught.value.code]
    return caught.value


def test_a_password_is_asked_for(tmp_path: Path) -> None:
    assert refusal(pdf_file(tmp_path, "Secret.", password="secret")).code == "encrypted"
    assert refusal(sample("libreoffice-writer-password.pdf")).code == "encrypted"


def test_a_scan_has_no_text_layer(tmp_path: Path) -> None:
    assert refusal(pdf_file(tmp_path, "", "")).code == "no_text_layer"
    assert refusal(sample("grayscale-image.pdf")).code == "no_text_layer"


@pytest.mark.parametrize(
    "content", [b"%PDF-1.4 only says so", b"%PDF-1.7\n" + bytes(range(256)) * 40, b"plain text"]
)
def test_what_is_no_pdf_is_damaged(tmp_path: Path, content: bytes) -> None:
    error = refusal(text_file(tmp_path, content))

    assert error.code == "damaged"
    assert "PDFium" in error.log


def test_half_a_pdf_is_damaged(tmp_path: Path) -> None:
    content = pdf_file(tmp_path, *["Words."] * 20).read_bytes()

    assert refusal(text_file(tmp_path, content[: len(content) // 3])).code == "damaged"


def test_a_pdf_without_its_last_bytes_is_still_read(tmp_path: Path) -> None:
    content = pdf_file(tmp_path, "Rescued.").read_bytes()

    assert read(text_file(tmp_path, content[:-20])).pages == ["Rescued."]


def test_nothing_is_empty(tmp_path: Path) -> None:
    assert refusal(text_file(tmp_path, b"")).code == "empty"
    assert refusal(text_file(tmp_path, b""), "txt").code == "empty"
    assert refusal(text_file(tmp_path, b" \r\n\f\n\0"), "txt").code in ("empty", "unreadable_text")


# --- Outline ---


def test_bookmarks_name_the_sections_of_a_pdf(tmp_path: Path) -> None:
    extraction = read(bookmarked(tmp_path, "Risk Factors", "Cyber  attacks", "x" * 300))

    assert extraction.outline == [
        OutlineItem("Risk Factors", 1, 1),
        OutlineItem("Cyber attacks", 2, 2),
        OutlineItem("x" * 200, 3, 2),
    ]


def test_a_section_knows_where_its_title_stands_on_the_page() -> None:
    extraction = read(sample("pdflatex-outline.pdf"))

    assert len(extraction.outline) == 9
    for item in extraction.outline:
        assert extraction.pages[item.page - 1].startswith(item.title, item.offset)


def test_bookmarks_are_bounded(tmp_path: Path) -> None:
    assert len(read(bookmarked(tmp_path, *["Again"] * 1_010)).outline) == 1_000


def test_bookmarks_that_cannot_be_read_do_no_harm(tmp_path: Path) -> None:
    sent = run_reader_with(
        "import pypdfium2\n"
        "def fail(self, **_): raise MemoryError\n"
        "pypdfium2.PdfDocument.get_toc = fail\n",
        bookmarked(tmp_path, "One"),
    )

    assert '"text": "One"' in sent
    assert '"done": true' in sent


def test_headings_name_the_sections_of_a_markdown_file(tmp_path: Path) -> None:
    text = "# Guide\n\nWords.\n\n```\n# a comment\n```\n\n## Set *up* ##\n\n#tag\n\f### Next page\n"

    extraction = read(text_file(tmp_path, text.encode()), "txt")

    found = [(item.title, item.page, item.level) for item in extraction.outline]
    assert found == [("Guide", 1, 1), ("Set *up*", 1, 2), ("Next page", 2, 3)]
    second = extraction.outline[1]
    assert extraction.pages[0][second.offset :].startswith("## Set *up*")


# --- Text ---


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "iso8859-1"]
)
def test_encodings_of_western_text(tmp_path: Path, encoding: str) -> None:
    text = "Die Größe der Änderung überrascht. Voilà: l'été à Genève coûte très cher."

    assert read(text_file(tmp_path, text.encode(encoding)), "txt").pages == [text]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1251", "Годовой отчёт компании за прошлый год, примечания. " * 4),
        ("cp932", "これは日本語の文章です。会社の年次報告書。" * 4),
        ("utf-16-be", "\ufeffGröße"),
        ("utf-16-be", "Größe, ohne Marke"),
        ("utf-16-le", "Годовой отчёт, без метки"),
        ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy, říká zpráva. " * 4),
        ("cp1253", "Η ετήσια έκθεση της εταιρείας για το προηγούμενο έτος. " * 4),
    ],
)
def test_other_encodings(tmp_path: Path, encoding: str, text: str) -> None:
    [page] = read(text_file(tmp_path, text.encode(encoding)), "txt").pages

    assert page == text.strip("\ufeff ")


def test_form_feeds_part_pages(tmp_path: Path) -> None:
    extraction = read(text_file(tmp_path, b"one\r\n\ftwo\f"), "txt")

    assert extraction == Extraction("", ["one", "two"])


def test_stray_zeros_are_dropped(tmp_path: Path) -> None:
    content = b"before the crash" * 20 + b"\0" * 9 + b"\nafter it"

    [page] = read(text_file(tmp_path, content), "txt").pages

    assert page.endswith("crash\nafter it")


def test_bytes_that_are_no_text_are_unreadable(tmp_path: Path) -> None:
    assert refusal(text_file(tmp_path, b"a\0\0b\0" * 100), "txt").code == "unreadable_text"


# --- Limits ---


def test_memory_is_bounded(tmp_path: Path) -> None:
    path = text_file(tmp_path, b"word " * 20_000_000)

    assert refusal(path, "txt", memory_bytes=200 << 20).code == "too_large"


def test_pdfium_out_of_memory_is_too_large() -> None:
    assert refusal(sample("EBAY_2018_10K.pdf"), memory_bytes=60 << 20).code == "too_large"


def test_time_is_bounded() -> None:
    started = time.monotonic()

    error = refusal(sample("EBAY_2018_10K.pdf"), seconds=0.15)

    assert error.code == "too_slow"
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("limits", "content"),
    [({"max_pages": 3}, b"a\fb\fc\fd"), ({"max_chars": 10}, b"eleven chars")],
)
def test_pages_and_characters_are_bounded(
    tmp_path: Path, limits: dict[str, float], content: bytes
) -> None:
    assert refusal(text_file(tmp_path, content), "txt", **limits).code == "too_large"
    assert refusal(pdf_file(tmp_path, *["Four chars"] * 4), max_pages=3).code == "too_large"


def test_a_page_that_unpacks_to_gigabytes_is_too_large(tmp_path: Path) -> None:
    writer = PdfWriter(clone_from=pdf_file(tmp_path, "One."))
    packer = zlib.compressobj()
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1_000)) + packer.flush()
    bomb = EncodedStreamObject()
    bomb[NameObject("/Filter")] = NameObject("/FlateDecode")
    bomb._data = packed
    writer.pages[0][NameObject("/Contents")] = writer._add_object(bomb)
    path = tmp_path / "bomb"
    with path.open("wb") as file:
        writer.write(file)

    assert path.stat().st_size < 2_000_000
    assert refusal(path, memory_bytes=256 << 20).code == "too_large"


def test_a_file_of_5000_pages_is_too_large(tmp_path: Path) -> None:
    assert refusal(text_file(tmp_path, b"page\f" * 5_000), "txt").code == "too_large"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_reader_that_was_stopped_says_nothing_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fake_reader(monkeypatch, tmp_path, f"os.kill(os.getpid(), {int(number)}); time.sleep(9)")

    with pytest.raises(InterruptedError):
        read(text_file(tmp_path, b"text"), "txt")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("time.sleep(60)", "too_slow"),
        ("while True: pass", "too_slow"),
        ("while True: print('x' * 65536)", "damaged"),
        ("while True: sys.stdout.write('x' * 65536)", "too_large"),
        ("while True: print('{\"read\": 1}')", "too_slow"),
        ("print(HEADER); print(PAGE % ('x' * 100_001))", "too_large"),
        ("print(HEADER); print(PAGE % 'x'); print(PAGE % 'x')", "too_large"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "damaged"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "too_large"),
        ("raise MemoryError", "too_large"),
        ("sys.exit('the last line')", "damaged"),
        ('print(\'{"error": "no such code"}\')', "damaged"),
        ("print(HEADER); print('{\"done\": true}')", "damaged"),
    ],
)
def test_a_reader_gone_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, expected: str
) -> None:
    fake_reader(monkeypatch, tmp_path, code)

    error = refusal(text_file(tmp_path, b"text"), "txt", seconds=0.7, max_chars=100_000)

    assert error.code == expected


def test_the_last_line_of_stderr_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_reader(monkeypatch, tmp_path, "sys.exit('first\\nthe last line\\n')")

    assert refusal(text_file(tmp_path, b"text"), "txt").log == "the last line"


def test_the_reader_quotes_no_document_on_stderr() -> None:
    code = "import logging; from documents.extraction import reader; reader._keep_quiet();"
    code += "logging.getLogger('pypdf').error('b(secret)'); raise ValueError('secret')"

    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert ran.stderr == "ValueError\n"


def test_the_reader_sees_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "secret")
    monkeypatch.setenv("DATABASE_URL", "postgres://user:secret@host/db")
    fake_reader(monkeypatch, tmp_path, "sys.exit(' '.join(sorted(os.environ)))")

    names = refusal(text_file(tmp_path, b"text"), "txt").log.split()

    assert set(names) <= {"PATH", "PYTHONPATH", "LANG", "LC_CTYPE", "SYSTEMROOT"}


def test_a_callback_that_fails_ends_the_reader(tmp_path: Path) -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(pdf_file(tmp_path, "One."), "pdf", memory_bytes=MEMORY, seconds=30, on_page=stop)

    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_extraction_imports_no_django() -> None:
    code = "import sys; import documents.extraction.reader, documents.extraction.guard;"
    code += "print(any(name.split('.')[0] == 'django' for name in sys.modules))"

    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert ran.stdout.strip() == "False", ran.stderr
