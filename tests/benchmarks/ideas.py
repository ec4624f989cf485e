"""What each idea of search gives: switched on alone over plain BM25, and off or on in the product.

    python -m tests.benchmarks.ideas FOLDER FILINGS HELD_OUT [--squad SOURCE.json]

FILINGS and HELD_OUT are files of questions about FOLDER as `manage.py evaluate` takes them. The
search is tests.benchmarks.model over the text that the product reads; a hit is a hit by the rule of
`manage.py evaluate`. Prints a Markdown table: recall among the first passage and the first five,
in percent, in all documents and in the question's own. Needs tests/benchmarks/requirements.txt.
"""

import argparse
import logging
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from documents.evaluation import Question, Report, Scope, ask, find_files, read_questions
from documents.extraction import ExtractionError
from documents.extraction.guard import Extraction, extract
from documents.extraction.kind import HEAD_BYTES, sniff
from llm import retrieval, thesaurus
from llm.ranking import FIGURES_GAIN
from tests.benchmarks.model import Design, Documents, Engine, windows
from tests.evaluation import peer, squad

DEPTHS = (1, 5)

PLAIN = Design()
# The ideas that the product has. The plain value of its fields is what it is without one.
KEPT = {
    "normalised words (numbers, years, quarters, apostrophes)": {"normalised": True},
    f"b {retrieval.B}, usual length {retrieval.USUAL_LENGTH}": {
        "b": retrieval.B,
        "usual_length": retrieval.USUAL_LENGTH,
    },
    "structural borders": {"structural": True},
    f"section as a field, {retrieval.SECTION_WEIGHT}": {"section": retrieval.SECTION_WEIGHT},
    f"name as a field, {retrieval.NAME_WEIGHT}, rarity at most 1": {
        "name": retrieval.NAME_WEIGHT,
        "name_cap": 1,
    },
    f"thesaurus, {thesaurus.WEIGHT}": {"thesaurus": thesaurus.WEIGHT},
    f"figures for amounts, {FIGURES_GAIN}": {"figures": FIGURES_GAIN},
    "neighbours joined": {"joined": True},
    "duplicates dropped": {"distinct": True},
}
# Other values of those, and ideas that the product does not have.
LEFT = {
    "k1 0.9, b 0.4": {"k1": 0.9, "b": 0.4},
    "section as a field, 0.5": {"section": 0.5},
    "section as a field, 1": {"section": 1},
    "name as a field, 1, rarity at most 1": {"name": 1, "name_cap": 1},
    "name as a field, 1, rarity as it is": {"name": 1, "name_cap": math.inf},
    "name as a field, 2.5, rarity as it is": {"name": 2.5, "name_cap": math.inf},
    "thesaurus, 0.25": {"thesaurus": 0.25},
    "thesaurus, 0.75": {"thesaurus": 0.75},
    "figures for amounts, 0.5": {"figures": 0.5},
    "first lines of the page as a field, 0.2": {"opening": 0.2},
    "first lines of the page as a field, 0.5": {"opening": 0.5},
    "instruction words of the question, 0.3": {"instructions": 0.3},
    "pseudo-relevance feedback, 0.1": {"feedback": 0.1},
    "pseudo-relevance feedback, 0.2": {"feedback": 0.2},
    "phrases and proximity, 0.2": {"phrases": 0.2},
    "phrases and proximity, 0.4": {"phrases": 0.4},
    "page's score added, 0.2": {"page": 0.2},
    "page's score added, 0.5": {"page": 0.5},
    "neighbour's score added, 0.2": {"neighbours": 0.2},
    "chunks of 150 words, 30 repeated": {"words": 150, "overlap": 30},
    "chunks of 300 words, 50 repeated": {"words": 300, "overlap": 50},
    "one passage a page": {"a_page": 1},
}
PRODUCT = replace(
    PLAIN,
    k1=retrieval.K1,
    **{field: value for idea in KEPT.values() for field, value in idea.items()},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("filings", type=Path, metavar="FILINGS")
    parser.add_argument("held_out", type=Path, metavar="HELD_OUT")
    parser.add_argument("--squad", type=Path, metavar="SOURCE.json")
    arguments = parser.parse_args()
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    documents = dict(_read(find_files(arguments.folder)))
    trials = {
        f"{label}, {scope.value}": (documents, read_questions(path, list(documents), scope), scope)
        for label, path in (("filings", arguments.filings), ("held-out", arguments.held_out))
        for scope in Scope
    }
    if arguments.squad:
        trials["SQuAD"] = (*_squad(arguments.squad), Scope.ALL)
    print("| | " + " | ".join(f"{label} @{depth}" for label in trials for depth in DEPTHS) + " |")
    print("|---" + "|---:" * (len(trials) * len(DEPTHS)) + "|")
    for label, design in tqdm(list(_rows()), unit="idea", disable=None):
        cells = [cell for trial in trials.values() for cell in _cells(design, *trial)]
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def _rows() -> Iterator[tuple[str, Design | None]]:
    """Labels and designs; None is the peer."""
    yield "bm25s, the peer", None
    yield "**plain BM25**", PLAIN
    for label, idea in (KEPT | LEFT).items():
        # Only chunks cut on structure know their section.
        structural = "section" in idea or "structural" in idea
        yield f"+ {label}", replace(PLAIN, **{"structural": structural, **idea})
    yield "**the product**", PRODUCT
    for label, idea in KEPT.items():
        plain = {field: getattr(PLAIN, field) for field in idea}
        yield f"without {label}", replace(PRODUCT, **plain)
    for label, idea in LEFT.items():
        yield f"with {label}", replace(PRODUCT, **idea)


def _cells(
    design: Design | None, documents: Documents, questions: Sequence[Question], scope: Scope
) -> Iterator[str]:
    if design is None:
        search = peer.Peer(
            {name: list(windows(name, documents[name])) for name in documents}
        ).search
    else:
        search = Engine(documents, design).search
    outcomes = tuple(ask(questions, search, {name: name for name in documents}, scope))
    report = Report(scope, documents=len(documents), chunks=0, outcomes=outcomes)
    for depth in DEPTHS:
        yield f"{100 * report.recall(depth):.1f}"


def _read(files: Mapping[str, Path]) -> Iterator[tuple[str, Extraction]]:
    """What can be read; `manage.py evaluate` tells what cannot."""
    for name, path in files.items():
        with path.open("rb") as file:
            kind = sniff(file.read(HEAD_BYTES))
        try:
            if kind is not None:
                limits = {"memory_bytes": peer.MEMORY_BYTES, "seconds": peer.SECONDS}
                yield name, extract(path, kind, **limits)
        except ExtractionError:
            continue


def _squad(source: Path) -> tuple[Documents, list[Question]]:
    """Each passage is a document of one page, named after its article."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        squad.write(source, folder)
        texts = {name: path.read_text() for name, path in find_files(folder).items()}
        questions = read_questions(folder / "questions.jsonl", list(texts), Scope.ALL)
    return {name: Extraction("", [text]) for name, text in texts.items()}, questions


if __name__ == "__main__":
    main()
