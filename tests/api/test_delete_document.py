"""DELETE /documents/{id}: what goes with it, and what answers keep."""

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from procrastinate.contrib.django.models import ProcrastinateJob

from conversations.models import Citation, Retrieval
from documents.models import Document, IdempotentCall
from documents.tasks import defer_ingestion
from tests.everywhere import found_in_files, found_in_tables
from tests.factories import (
    assert_problem,
    empty_queue,
    get,
    make_conversation,
    make_document,
    make_pending,
    post,
)

pytestmark = pytest.mark.django_db(transaction=True)

# What stands in the document, and nowhere else.
TEXT = "Prices\n\nThe okapi costs 14.50 euros, the quagga nothing.\n"
MARKS = {"okapi", "quagga", "Ledger"}


@pytest.fixture
def document(user):
    return make_document(user, TEXT, "Ledger.txt")


@pytest.fixture
def answer(api, user, document, groq):
    """One that quotes the document."""
    conversation = make_conversation(user, mode="grounded_rag", documents=[document])
    body = {"content": "What are the costs in euros?"}
    return post(api, f"/conversations/{conversation.pk}/messages", body).json()["answer"]


def delete(api, document, query=""):
    response = api.delete(f"/api/v1/documents/{document.pk}{query}")
    assert response.status_code == 204, response.content


def test_answers_keep_their_quotes(api, document, answer):
    [citation] = answer["citations"]

    delete(api, document)

    kept = get(api, f"/citations/{citation['id']}").json()
    assert "okapi" in kept["quote"]
    assert (kept["document_name"], kept["document_id"]) == ("Ledger.txt", None)
    left = found_in_tables({*MARKS, document.pk.hex})
    assert left.keys() == {"conversations_citation", "conversations_retrieval"}
    assert left["conversations_retrieval"] == {"Ledger"}
    assert not found_in_files(MARKS)


def test_quotes_go_too_where_that_is_asked_for(api, user, document, answer):
    other = make_document(user, "The okapi is in euros, too.", "Other.txt")
    conversation = make_conversation(user, mode="grounded_rag", documents=[document, other])
    body = {"content": "What about euros and costs?"}
    both = post(api, f"/conversations/{conversation.pk}/messages", body).json()["answer"]
    assert len(both["citations"]) == 1

    delete(api, document, "?quotes=erase")

    assert found_in_tables({"quagga", "Ledger"}) == {}
    gone = Citation.objects.get(message=answer["id"])
    assert (gone.quote, gone.section, gone.document_name) == ("", "", "deleted document")
    names = [one["document_name"] for one in Retrieval.objects.get(pk=both["id"]).candidates]
    assert sorted(names) == ["Other.txt", "deleted document"]
    trace = f"/conversations/{conversation.pk}/messages/{both['id']}/trace"
    assert get(api, trace).status_code == 200
    assert get(api, f"/citations/{gone.pk}").json()["quote"] == ""


def test_another_word_for_quotes_is_refused(api, document):
    response = api.delete(f"/api/v1/documents/{document.pk}?quotes=some")

    assert "quotes" in assert_problem(response, 400)["errors"]
    assert Document.objects.exists()


def test_answers_kept_for_repetition_lose_its_text(api, user, document):
    body = {"user_id": str(user.pk), "query": "okapi"}
    found = post(api, "/search", body, **{"Idempotency-Key": "one"})
    other = post(api, "/search", {**body, "query": "none"}, **{"Idempotency-Key": "two"})
    assert "quagga" in found.content.decode()

    delete(api, document)

    assert found_in_tables(MARKS) == {}
    again = post(api, "/search", body, **{"Idempotency-Key": "one"})
    assert "was deleted" in assert_problem(again, 404)["detail"]
    kept = post(api, "/search", {**body, "query": "none"}, **{"Idempotency-Key": "two"})
    assert kept.json() == other.json()


def test_a_late_repetition_of_the_upload_does_not_bring_it_back(api, user, tmp_path):
    def upload():
        file = tmp_path / "Ledger.txt"
        file.write_text(TEXT)
        with file.open("rb") as stream:
            form = {"user_id": str(user.pk), "file": stream}
            return api.post("/api/v1/documents", form, headers={"Idempotency-Key": "one"})

    document = Document.objects.get(pk=upload().json()["id"])
    delete(api, document)

    assert_problem(upload(), 404)
    assert not Document.objects.exists()
    assert IdempotentCall.objects.get().about == []


def test_jobs_and_the_admins_history_forget_it(api, user, admin_user):
    empty_queue()
    document, other = make_pending(user, TEXT), make_document(user, "Another.")
    for one in (document, other):
        defer_ingestion(one)
        kind = ContentType.objects.get_for_model(Document)
        about = {"object_id": str(one.pk), "object_repr": one.name, "action_flag": CHANGE}
        LogEntry.objects.create(user=admin_user, content_type=kind, **about)

    delete(api, document)

    assert [job.args["document_id"] for job in ProcrastinateJob.objects.all()] == [str(other.pk)]
    assert [entry.object_id for entry in LogEntry.objects.all()] == [str(other.pk)]


def test_many_go_in_the_same_queries_as_one(user, django_assert_num_queries):
    ContentType.objects.get_for_model(Document)
    for number in range(5):
        make_document(user, f"Text {number}.")

    with django_assert_num_queries(15):
        assert Document.objects.filter(user=user).remove() == 5


def test_a_file_that_cannot_be_deleted_keeps_no_other(user, monkeypatch):
    first, second = make_document(user, "One."), make_document(user, "Two.")
    delete_file = Document.discard_file

    def fails_once(document):
        if document.pk == first.pk:
            raise OSError("the disk is gone")
        delete_file(document)

    monkeypatch.setattr(Document, "discard_file", fails_once)

    Document.objects.all().remove()

    assert found_in_files([first.pk.hex, second.pk.hex]) == {first.pk.hex}
    assert not Document.objects.exists()
