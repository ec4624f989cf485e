"""The peer that search is measured against."""

import pytest

from documents.evaluation import Question, Scope
from tests.factories import TEXT

pytest.importorskip("bm25s", reason="needs tests/benchmarks/requirements.txt")
pytest.importorskip("Stemmer", reason="needs tests/benchmarks/requirements.txt")

from tests.evaluation import peer


def test_chunks_are_plain_windows_that_know_their_pages():
    pages = [" ".join(f"w{n}" for n in range(start, start + 200)) for start in (0, 200)]

    first, second = peer.cut("a.pdf", pages)

    assert (first.page_start, first.page_end, len(first.text.split())) == (1, 2, 220)
    assert (second.page_start, second.page_end) == (1, 2)
    assert second.text.split()[0] == "w180"
    assert second.text.split()[-1] == "w399"


def test_a_text_of_one_paragraph_stays_whole():
    text = "word " * 500

    assert [chunk.text for chunk in peer.cut("a.txt", [text])] == [text]


def test_it_answers_with_the_same_report(tmp_path):
    (tmp_path / "museum.txt").write_text(TEXT)
    (tmp_path / "zoo.txt").write_text("The lions are fed at noon.")
    (tmp_path / "empty.txt").write_text(" ")
    files = {path.name: path for path in sorted(tmp_path.iterdir())}
    questions = [
        Question("1", "When are lions fed?", "zoo.txt"),
        Question("2", "What does a ticket cost?", "zoo.txt"),
    ]

    report = peer.run(files, questions, Scope.ALL)

    assert [outcome.rank for outcome in report.outcomes] == [1, None]
    assert (report.documents, report.recall(1)) == (2, 0.5)
    assert [name for name, _ in report.unread] == ["empty.txt"]
