"""PDFs broken in every way that a number, a cut or a loop can break one.

A variant is told by its seed: the same sample and seed give the same bytes.
"""

import random
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from pypdf import PdfReader, PdfWriter

# Of a long filing the first pages do: what counts is how many variants are read.
PAGES = 3

_OBJECT = re.compile(rb"\d+ \d+ obj\b.*?\bendobj\b", re.DOTALL)
_REFERENCE = re.compile(rb"\b(\d+) (\d+) R\b")
_NUMBER = re.compile(rb"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
_LENGTH = re.compile(rb"/(?:Length|Length1|Size|Count|First|N|W|Index|Predictor|Columns)\s+\d+")
_OFFSET = re.compile(rb"\b\d{10} \d{5} [nf]|startxref\s+\d+|/Prev \d+")
_NAME = re.compile(rb"/[A-Z][A-Za-z0-9]+")
_STREAM = re.compile(rb"stream\r?\n")

_ABSURD = (
    *(b"0", b"-1", b"1", b"255", b"65536", b"2147483647", b"2147483648", b"-2147483648"),
    *(b"4294967295", b"9223372036854775808", b"1" + b"0" * 400, b"0." + b"9" * 400, b"1e999"),
)
_NAMES = (
    *(b"/FlateDecode", b"/LZWDecode", b"/ASCIIHexDecode", b"/ASCII85Decode", b"/RunLengthDecode"),
    *(b"/DCTDecode", b"/JBIG2Decode", b"/JPXDecode", b"/CCITTFaxDecode", b"/Crypt", b"/Pages"),
    *(b"/Page", b"/Catalog", b"/ObjStm", b"/XRef", b"/Form", b"/Type0", b"/Type3", b"/Kids"),
)

Mutation = Callable[[random.Random, bytearray], None]


def bases(folder: Path) -> list[bytes]:
    """Each sample as it is where it is small, and written anew, plainly, with few pages."""
    found = []
    for path in sorted(folder.glob("*.pdf")):
        if path.stat().st_size < 200_000:
            found.append(path.read_bytes())
        reader = PdfReader(path)
        if reader.is_encrypted:
            continue
        writer = PdfWriter()
        for page in reader.pages[:PAGES]:
            writer.add_page(page)
        plain = BytesIO()
        writer.write(plain)
        found.append(plain.getvalue())
    return found


def mutate(base: bytes, seed: int) -> bytes:
    """The variant of that seed: one to four things are wrong with it."""
    chance = random.Random(seed)
    data = bytearray(base)
    for mutation in chance.choices(MUTATIONS, k=chance.randint(1, 4)):
        if data:
            mutation(chance, data)
    return bytes(data)


def flip_bits(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice((1, 8, 64, 512))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def cut(chance: random.Random, data: bytearray) -> None:
    first, last = sorted(chance.choices(range(len(data) + 1), k=2))
    match chance.randrange(3):
        case 0:
            del data[last:]
        case 1:
            del data[: min(first, 900)]
        case _:
            del data[first : min(last, first + 5_000)]


def overwrite(chance: random.Random, data: bytearray) -> None:
    at, size = chance.randrange(len(data)), chance.randrange(1, 2_000)
    filling = chance.choice((bytes(size), b"\xff" * size, b"(" * size, chance.randbytes(size)))
    data[at : at + size] = filling


def move_objects(chance: random.Random, data: bytearray) -> None:
    """Repeats one, drops one, or changes two about."""
    spans = [match.span() for match in _OBJECT.finditer(data)]
    if len(spans) < 2:
        return
    (a, b), (c, d) = sorted(chance.sample(spans, 2))
    match chance.randrange(3):
        case 0:
            data[a:a] = data[c:d] + b"\n"
        case 1:
            del data[a:b]
        case _:
            data[a:d] = data[c:d] + data[b:c] + data[a:b]


def redirect(chance: random.Random, data: bytearray) -> None:
    """References lead elsewhere: page trees, forms and fonts become loops."""
    numbers = [match[1] for match in _REFERENCE.finditer(data)]
    for _ in range(chance.choice((1, 3, 20))):
        _replace(chance, data, _REFERENCE, lambda _: chance.choice(numbers) + b" 0 R")


def loop(chance: random.Random, data: bytearray) -> None:
    """An object refers to itself, or all that it refers to becomes one kid many times over."""
    spans = [match.span() for match in _OBJECT.finditer(data)]
    if not spans:
        return
    start, end = chance.choice(spans)
    number = bytes(data[start:end]).split(b" ", 1)[0]
    itself = number + b" 0 R" if chance.random() < 0.7 else (number + b" 0 R ") * 50
    data[start:end] = _REFERENCE.sub(itself, bytes(data[start:end]))


def change_lengths(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice((1, 5))):
        _replace(
            chance, data, _LENGTH, lambda old: old.split()[0] + b" " + chance.choice(_ABSURD[:10])
        )


def change_offsets(chance: random.Random, data: bytearray) -> None:
    def elsewhere(old: bytes) -> bytes:
        head, _, rest = old.partition(b" ") if old[:1].isdigit() else (b"", b"", b"")
        at = chance.choice((0, chance.randrange(len(data)), 9_999_999_999))
        if head:
            return b"%010d %s" % (at, rest)
        return re.sub(rb"\d+", b"%d" % at, old)

    for _ in range(chance.choice((1, 10))):
        _replace(chance, data, _OFFSET, elsewhere)


def change_numbers(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice((1, 5, 50))):
        _replace(chance, data, _NUMBER, lambda _: chance.choice(_ABSURD))


def change_names(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.choice((1, 5))):
        _replace(chance, data, _NAME, lambda _: chance.choice(_NAMES))


def stack_filters(chance: random.Random, data: bytearray) -> None:
    many = b"[" + chance.choice(_NAMES[:5]) * chance.choice((2, 100)) + b"]"
    _replace(chance, data, re.compile(rb"(?<=/Filter )/\w+"), lambda _: many)


def nest(chance: random.Random, data: bytearray) -> None:
    """Brackets deeper than a parser that calls itself can follow."""
    opening = chance.choice((b"[", b"<<", b"(", b"<</A ", b"q ", b"BT "))
    depth = chance.choice((100, 20_000))
    places = [match.end() for match in _OBJECT.finditer(data)] or [chance.randrange(len(data))]
    at = chance.choice(places)
    data[at:at] = b"\n99 0 obj " + opening * depth + b" endobj\n"


def grow_stream(chance: random.Random, data: bytearray) -> None:
    """A stream goes on with something else than it says."""
    places = [match.end() for match in _STREAM.finditer(data)]
    if places:
        at = chance.choice(places)
        data[at:at] = chance.choice((b"endstream ", b"%PDF-1.7\n", bytes(5_000), b"Do " * 500))


def call_itself(chance: random.Random, data: bytearray) -> None:
    """Any resource becomes the object that it is a resource of."""
    owners = [match[0].split(b" ", 1)[0] for match in _OBJECT.finditer(data)]
    if owners:
        owner = chance.choice(owners)
        form = b"/XObject<</Fm0 %s 0 R>>/Subtype/Form/BBox[0 0 9 9]" % owner
        _replace(chance, data, re.compile(rb"/Resources\b"), lambda _: form + b"/Resources")


def _replace(
    chance: random.Random,
    data: bytearray,
    pattern: "re.Pattern[bytes]",
    change: Callable[[bytes], bytes],
) -> None:
    spans = [match.span() for match in pattern.finditer(data)]
    if spans:
        start, end = chance.choice(spans)
        data[start:end] = change(bytes(data[start:end]))


MUTATIONS: tuple[Mutation, ...] = (
    *(flip_bits, cut, overwrite, move_objects, redirect, loop, change_lengths, change_offsets),
    *(change_numbers, change_names, stack_filters, nest, grow_stream, call_itself),
)
