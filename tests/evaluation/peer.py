"""The peer of `manage.py evaluate`: bm25s over plain chunks of the same text, by the same rule.

    python -m tests.evaluation.peer FOLDER [QUESTIONS] [--scope all|document] [--json]

bm25s with its defaults (Lucene's BM25, k1 = 1.5, b = 0.75; its English stop words) and PyStemmer's
English Snowball stems, in memory. Chunks are 220 words, each repeating 40, without regard to
pages or structure; a text file of one paragraph stays whole. Needs
tests/benchmarks/requirements.txt.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import bm25s
import Stemmer
from tqdm import tqdm

from documents.evaluation import (
    DEPTH,
    QuestionError,
    Report,
    Scope,
    ask,
    find_files,
    find_questions,
    read_questions,
)
from documents.extraction import ExtractionError
from documents.extraction.guard import extract
from documents.extraction.kind import HEAD_BYTES, sniff

WORDS, OVERLAP = 220, 40
MEMORY_BYTES, SECONDS = 1024 * 1024 * 1024, 120


@dataclass(frozen=True, slots=True)
class Stretch:
    """A chunk."""

    document_id: str
    page_start: int
    page_end: int
    text: str


class Peer:
    """An index for each set of documents searched, as the product's statistics are theirs too."""

    def __init__(self, chunks: dict[str, list[Stretch]]) -> None:
        self.chunks = chunks
        self.stemmer = Stemmer.Stemmer("english")
        self.index = cache(self._index)

    def search(self, text: str, names: Sequence[str]) -> list[Stretch]:
        if not names:
            return []
        chunks, index = self.index(tuple(names))
        found, scores = index.retrieve(
            self._tokens([text]), corpus=chunks, k=min(DEPTH, len(chunks)), show_progress=False
        )
        return [one for one, score in zip(found[0], scores[0], strict=True) if score > 0]

    def _index(self, names: tuple[str, ...]) -> tuple[list[Stretch], bm25s.BM25]:
        chunks = [chunk for name in names for chunk in self.chunks[name]]
        index = bm25s.BM25(method="lucene")
        index.index(self._tokens([chunk.text for chunk in chunks]), show_progress=False)
        return chunks, index

    def _tokens(self, texts: list[str]) -> bm25s.tokenization.Tokenized:
        return bm25s.tokenize(texts, stopwords="en", stemmer=self.stemmer, show_progress=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("questions", type=Path, nargs="?", metavar="QUESTIONS")
    parser.add_argument("--scope", type=Scope, choices=list(Scope), default=Scope.ALL)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    files = find_files(arguments.folder)
    try:
        path = arguments.questions or find_questions(arguments.folder)
        questions = read_questions(path, list(files), arguments.scope)
    except QuestionError as error:
        parser.error(str(error))
    report = run(files, questions, arguments.scope)
    print(report.as_json() if arguments.json else report.as_text())


def run(files: dict[str, Path], questions: Sequence, scope: Scope) -> Report:
    chunks: dict[str, list[Stretch]] = {}
    unread: dict[str, str] = {}
    for name, path in tqdm(files.items(), desc="reading", unit="file", disable=None):
        try:
            chunks[name] = list(cut(name, read(path)))
        except ExtractionError as error:
            unread[name] = f"{error.code}: {error.detail}"
    peer = Peer(chunks)
    # Indexed before the questions are timed, as the product's documents are.
    scopes = [tuple(chunks)] if scope == Scope.ALL else [(name,) for name in chunks]
    for names in scopes:
        peer.index(names)
    outcomes = ask(questions, peer.search, {name: name for name in chunks}, scope)
    return Report(
        scope=scope,
        documents=len(chunks),
        chunks=sum(map(len, chunks.values())),
        outcomes=tuple(tqdm(outcomes, desc="asking", total=len(questions), disable=None)),
        unread=tuple(unread.items()),
    )


def read(path: Path) -> list[str]:
    """The text of each page, as the product reads it."""
    with path.open("rb") as file:
        kind = sniff(file.read(HEAD_BYTES))
    if kind is None:
        raise ExtractionError("unreadable_text")
    return extract(path, kind, memory_bytes=MEMORY_BYTES, seconds=SECONDS).pages


def cut(name: str, pages: Sequence[str]) -> Iterator[Stretch]:
    if len(pages) == 1 and "\n\n" not in pages[0].strip():
        yield Stretch(name, 1, 1, pages[0])
        return
    words = [(word, number) for number, page in enumerate(pages, 1) for word in page.split()]
    for start in range(0, max(1, len(words) - OVERLAP), WORDS - OVERLAP):
        part = words[start : start + WORDS]
        yield Stretch(name, part[0][1], part[-1][1], " ".join(word for word, _ in part))


if __name__ == "__main__":
    main()
