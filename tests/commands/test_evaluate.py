"""`manage.py evaluate`"""

import json
import sys

import pytest
from django.core.management import CommandError, call_command

from documents.evaluation import Outcome, Question, Report, Scope, ask, read_questions
from documents.management.commands.evaluate import EVALUATOR
from documents.models import Document
from tests.evaluation import squad
from tests.factories import TEXT, make_document, make_user

# Documents are read in threads, each with a connection of its own.
db = pytest.mark.django_db(transaction=True)


class Passage:
    """As search gives them, as far as the rule looks."""

    def __init__(self, document_id="a.txt", pages=(1, 1), text="some words"):
        self.document_id, self.text = document_id, text
        self.page_start, self.page_end = pages


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "library"
    (folder / "deep").mkdir(parents=True)
    (folder / "museum.txt").write_text(TEXT)
    (folder / "deep" / "zoo.md").write_text("# Zoo\n\nThe lions are fed at noon.\n")
    ask_about(
        folder,
        {"id": "fee", "question": "What does a ticket cost?", "document": "museum.txt", "page": 1},
        {"question": "When are lions fed?", "document": "deep/zoo.md", "text": "fed at noon"},
    )
    return folder


def ask_about(folder, *rows):
    (folder / "questions.jsonl").write_text("\n".join(json.dumps(row) for row in rows))


def evaluate(capsys, *arguments, **options):
    call_command("evaluate", *arguments, json=True, verbosity=0, **options)
    return json.loads(capsys.readouterr().out)


def rank(question, passages, ids=None, scope=Scope.ALL):
    ids = ids or {"a.txt": "a.txt", "b.txt": "b.txt"}
    return next(ask([question], lambda text, ids: passages, ids, scope)).rank


@db
def test_a_folder_is_ingested_and_each_question_ranked(folder, capsys):
    report = evaluate(capsys, folder)

    assert (report["documents"], report["chunks"], report["questions"]) == (2, 2, 2)
    assert report["recall"] == {"1": 1.0, "3": 1.0, "5": 1.0, "10": 1.0}
    assert report["mrr"] == 1.0
    assert report["latency_ms"]["p95"] >= report["latency_ms"]["p50"] > 0
    assert [(row["id"], row["rank"]) for row in report["ranks"]] == [("fee", 1), ("2", 1)]
    assert {document.user_id for document in Document.objects.all()} == {EVALUATOR}


@db
def test_a_second_run_reads_nothing_again_unless_told_to(folder, capsys):
    evaluate(capsys, folder)
    before = set(Document.objects.values_list("pk", "processed_at"))

    evaluate(capsys, folder)
    assert set(Document.objects.values_list("pk", "processed_at")) == before

    evaluate(capsys, folder, anew=True)
    after = set(Document.objects.values_list("pk", "processed_at"))
    assert {pk for pk, _ in after} == {pk for pk, _ in before}
    assert not after & before


@db
def test_other_documents_of_the_user_are_not_searched(folder, capsys):
    make_document(make_user(EVALUATOR), "A ticket costs what a ticket costs.", "other.txt")

    report = evaluate(capsys, folder)

    assert report["documents"] == 2
    assert report["recall"]["1"] == 1.0


@db
def test_in_the_scope_of_a_document_others_do_not_compete(folder, capsys):
    (folder / "rival.txt").write_text("A ticket, a ticket: what does a ticket cost?\n")

    assert evaluate(capsys, folder)["ranks"][0]["rank"] == 2
    report = evaluate(capsys, folder, scope=Scope.DOCUMENT)

    assert report["scope"] == "document"
    assert report["ranks"][0]["rank"] == 1


@db
def test_a_document_that_cannot_be_read_is_told_and_counts_as_a_miss(folder, capsys):
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    (folder / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    ask_about(folder, {"question": "What does a ticket cost?", "document": "broken.pdf"})

    report = evaluate(capsys, folder)

    assert report["ranks"][0]["rank"] is None
    unread = {row["document"]: row["reason"] for row in report["unread"]}
    assert unread["broken.pdf"].startswith("damaged")
    assert unread["picture.txt"] == "neither a PDF nor plain text"


@db
def test_the_text_names_the_questions_that_failed(folder, capsys):
    ask_about(
        folder,
        {"id": "fee", "question": "What does a ticket cost?", "document": "museum.txt"},
        {"id": "lost", "question": "Who is the director?", "document": "museum.txt", "page": 7},
    )

    call_command("evaluate", folder, verbosity=0)

    said = capsys.readouterr().out
    assert "@1 0.500   @3 0.500   @5 0.500   @10 0.500" in said
    assert "Not among the first 10 (1):\n  lost: Who is the director?  [museum.txt p. 7]" in said


@db
def test_progress_is_shown_on_a_terminal(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    call_command("evaluate", folder)

    shown = capsys.readouterr().err
    assert "reading" in shown
    assert "asking" in shown


@pytest.mark.parametrize(
    ("prepare", "complaint"),
    [
        (lambda folder: (folder / "questions.jsonl").unlink(), "no .jsonl file"),
        (lambda folder: (folder / "b.jsonl").touch(), r"several .*b.jsonl, questions.jsonl"),
        (lambda folder: (folder / "questions.jsonl").write_text("\n"), "holds no question"),
    ],
)
def test_which_questions_to_ask_must_be_clear(folder, prepare, complaint):
    prepare(folder)

    with pytest.raises(CommandError, match=complaint):
        call_command("evaluate", folder)


def test_the_folder_must_hold_documents(tmp_path):
    with pytest.raises(CommandError, match="is no folder"):
        call_command("evaluate", tmp_path / "missing")
    with pytest.raises(CommandError, match="holds no PDF"):
        call_command("evaluate", tmp_path)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "no JSON"),
        ("[]", "no JSON object"),
        ('{"document": "museum.txt"}', "question is missing"),
        ('{"question": " ", "document": "museum.txt"}', "question is missing"),
        ('{"question": "Why?"}', "no evidence"),
        ('{"question": "Why?", "document": 7}', "document is no text"),
        ('{"question": "Why?", "document": "none.txt"}', "no document 'none.txt'"),
        ('{"question": "Why?", "page": 3}', "document is missing"),
        ('{"question": "Why?", "document": "museum.txt", "page": 0}', "0 is no page number"),
        ('{"question": "Why?", "document": "museum.txt", "pages": [true]}', "no page number"),
        ('{"question": "Why?", "document": "museum.txt", "pages": []}', "no list of page"),
        ('{"question": "Why?", "document": "museum.txt", "page": 1, "pages": [1]}', "one of them"),
        ('{"question": "Why?", "text": []}', "text is neither"),
        ('{"question": "Why?", "text": [" "]}', "blank"),
    ],
)
def test_a_bad_line_is_refused_by_its_number(folder, line, fault):
    good = json.dumps({"question": "Why?", "text": "x"})
    (folder / "questions.jsonl").write_text(f"{good}\n{line}\n")

    with pytest.raises(CommandError, match=rf"questions\.jsonl(.|\n)*line 2: .*{fault}"):
        call_command("evaluate", folder)


def test_where_the_folder_has_one_document_it_need_not_be_named(tmp_path):
    ask_about(tmp_path, {"question": "Why?", "page": 3})

    (question,) = read_questions(tmp_path / "questions.jsonl", ["a.pdf"], Scope.ALL)

    assert question.document == "a.pdf"


def test_any_of_the_evidence_is_a_hit():
    pages = Question("1", "?", "a.txt", pages=frozenset({3, 9}))
    assert rank(pages, [Passage(pages=(1, 2)), Passage(pages=(4, 8)), Passage(pages=(9, 10))]) == 3
    assert rank(pages, [Passage("b.txt", pages=(3, 3)), Passage(pages=(2, 4))]) == 2
    texts = Question("1", "?", evidence=("opens  at\nnine", "closes"))
    assert rank(texts, [Passage(), Passage(text="it opens\nat nine")]) == 2
    assert rank(Question("1", "?", "a.txt"), [Passage("b.txt"), Passage()]) == 2


def test_a_hit_beyond_the_tenth_passage_is_none():
    question = Question("1", "?", "a.txt")

    assert rank(question, [Passage("b.txt")] * 9 + [Passage()]) == 10
    assert rank(question, [Passage("b.txt")] * 10 + [Passage()]) is None


def test_a_document_that_was_not_read_is_never_a_hit():
    question = Question("1", "?", "c.txt")

    assert rank(question, [Passage(None), Passage()]) is None


def test_the_numbers_are_those_of_their_definitions():
    ranks = [1, 2, 4, None]
    question = Question("1", "?", "a.txt")
    outcomes = [Outcome(question, rank, n / 1000, 2, 30) for n, rank in enumerate(ranks, start=1)]
    report = Report(Scope.ALL, 1, 1, tuple(outcomes))

    assert [report.recall(depth) for depth in (1, 3, 5, 10)] == [0.25, 0.5, 0.75, 0.75]
    assert report.mrr == (1 + 1 / 2 + 1 / 4) / 4
    assert (report.latency_ms(50), report.latency_ms(95)) == (2, 4)
    assert report.passage_words == 15


def test_squad_becomes_a_folder_of_passages_and_questions(tmp_path):
    def asked(n, impossible=False):
        return {"id": f"q{n}", "question": f"Why {n}?", "answers": [], "is_impossible": impossible}

    paragraphs = [
        {"context": "First.", "qas": [asked(1), asked(2, impossible=True)]},
        {"context": "Second.", "qas": [asked(3), asked(4)]},
    ]
    source = tmp_path / "squad.json"
    source.write_text(json.dumps({"data": [{"title": "A b/c", "paragraphs": paragraphs}]}))

    assert squad.write(source, tmp_path / "all") == (2, 3)
    assert squad.write(source, tmp_path / "some", every=2) == (2, 2)

    files = sorted(path.name for path in (tmp_path / "all").glob("*.txt"))
    assert files == ["00-a-b-c-000.txt", "00-a-b-c-001.txt"]
    questions = read_questions(tmp_path / "some" / "questions.jsonl", files, Scope.ALL)
    assert [(one.id, one.document) for one in questions] == [("q1", files[0]), ("q4", files[1])]
