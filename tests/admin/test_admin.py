"""What staff see and do in the admin."""

import re
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from procrastinate.contrib.django.models import ProcrastinateJob

from botgpt.accounts.models import APIKey, User
from botgpt.accounts.scopes import every_scope
from botgpt.accounts.tasks import forget_user
from conversations.models import Citation, Conversation, Feedback, Message
from documents.models import Document
from tests.factories import (
    complete,
    empty_queue,
    make_conversation,
    make_document,
    make_pending,
    make_usage,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db
LISTS = [
    "accounts/user",
    "accounts/apikey",
    "documents/document",
    "documents/chunk",
    "conversations/conversation",
    "conversations/feedback",
    "conversations/message",
    "conversations/usageentry",
    "conversations/auditentry",
    "procrastinate/procrastinatejob",
    "admin/logentry",
]


@pytest.fixture
def user():
    return make_user()


def page(admin_client, path):
    response = admin_client.get(f"/admin/{path}")
    assert response.status_code == 200
    return response.content.decode()


def change_page(admin_client, row):
    kind = f"{row._meta.app_label}/{row._meta.model_name}"
    return page(admin_client, f"{kind}/{row.pk}/change/")


def delete(admin_client, row):
    kind = f"{row._meta.app_label}/{row._meta.model_name}"
    path = f"/admin/{kind}/{row.pk}/delete/"
    question = admin_client.get(path).content.decode()
    assert admin_client.post(path, {"post": "yes"}).status_code == 302
    return question


def make_everything():
    user = make_user()
    document = make_document(user, f"The {uuid4()} opens at nine.")
    make_conversation(user, mode="grounded_rag", documents=[document])
    make_usage(user)
    APIKey.objects.issue("backend", user)


def failed_document(user):
    document = make_pending(user)
    document.mark_failed("encrypted", "The PDF opens only with a password.")
    return document


def cited_answer(user, document, quote="Closed on Mondays."):
    conversation = make_conversation(user, mode="grounded_rag", documents=[document])
    chunk = document.chunks.get()
    _, answer = conversation.ask("When is it closed?")
    citation = Citation(
        message=answer,
        number=1,
        document=document,
        chunk_id=chunk.pk,
        document_name=document.name,
        page=1,
        char_start=0,
        char_end=len(quote),
        quote=quote,
        score=2.5,
    )
    complete(answer, "On Mondays [1].", [citation])
    return conversation


def test_the_admin_asks_for_a_login(client):
    response = client.get("/admin/documents/document/")

    assert response.status_code == 302
    assert "/admin/login/" in response.headers["Location"]


@pytest.mark.parametrize("path", ["", *(f"{one}/" for one in LISTS)])
def test_pages_open(admin_client, path):
    make_everything()

    page(admin_client, path)


@pytest.mark.parametrize("path", LISTS)
def test_lists_can_be_searched(admin_client, path):
    make_everything()

    page(admin_client, f"{path}/?q=museum")


@pytest.mark.parametrize("path", LISTS)
def test_a_list_costs_the_same_queries_however_long(admin_client, path):
    def cost():
        with CaptureQueriesContext(connection) as queries:
            page(admin_client, f"{path}/")
        return len(queries)

    make_everything()
    one = cost()
    for _ in range(9):
        make_everything()

    assert cost() == one <= 11


@pytest.mark.parametrize("path", ["accounts/user/add/", "accounts/apikey/add/"])
def test_forms_open(admin_client, path):
    page(admin_client, path)


def test_what_ingestion_writes_cannot_be_added(admin_client):
    assert admin_client.get("/admin/documents/chunk/add/").status_code == 403


def test_a_user_leads_to_their_documents_and_conversations(admin_client, user):
    document = make_document(user)
    make_document(make_user(), name="other.txt")

    html = change_page(admin_client, user)
    link = re.search(r'href="/admin/(documents/document/\?[^"]*)"', html)

    assert link
    found = page(admin_client, link[1])
    assert str(document.pk) in found
    assert "other.txt" not in found


def test_a_document_shows_its_text_and_leads_to_all_of_it(admin_client, user):
    document = make_document(user)

    html = change_page(admin_client, document)
    link = re.search(r'href="/admin/(documents/chunk/\?[^"]*)">all 1 chunks<', html)

    assert str(document.pk) in html
    assert "A ticket costs 14.50 euros" in html
    assert link
    assert "museum.txt" in page(admin_client, link[1])


def test_a_chunk_shows_its_text_and_cannot_be_deleted(admin_client, user):
    chunk = make_document(user).chunks.get()

    assert "A ticket costs 14.50 euros" in change_page(admin_client, chunk)
    assert admin_client.get(f"/admin/documents/chunk/{chunk.pk}/delete/").status_code == 403


def test_a_document_leads_to_the_conversations_that_chose_it(admin_client, user):
    document = make_document(user)
    conversation = make_conversation(user, mode="grounded_rag", documents=[document])

    assert f"conversations/conversation/{conversation.pk}" in change_page(admin_client, document)


def test_a_user_counts_what_they_have(admin_client, user):
    make_conversation(user)
    make_conversation(user)

    html = page(admin_client, "accounts/user/")

    assert f'/conversations/conversation/?user__id__exact={user.pk}">2</a>' in html
    assert f'/documents/document/?user__id__exact={user.pk}">0</a>' in html


def test_a_conversation_counts_its_messages(admin_client, user):
    make_conversation(user)

    html = page(admin_client, "conversations/conversation/")

    assert '<td class="field-messages">2</td>' in html


def test_a_failed_document_says_why(admin_client, user):
    document = failed_document(user)
    make_document(user)

    assert "The PDF opens only with a password." in change_page(admin_client, document)
    found = page(admin_client, "documents/document/?status__exact=failed")
    assert "Failed: encrypted" in found
    assert "museum.txt" not in found


def test_deleting_a_document_deletes_its_file(
    admin_client, user, django_capture_on_commit_callbacks
):
    document = make_document(user)
    path = Path(document.file.path)
    assert path.exists()

    with django_capture_on_commit_callbacks(execute=True):
        question = delete(admin_client, document)

    assert not Document.objects.exists()
    assert not path.exists()
    assert "museum.txt" in question
    assert "chunk" not in question.split("Are you sure")[1].lower()


def test_deleting_selected_documents_deletes_their_files(
    admin_client, user, django_capture_on_commit_callbacks
):
    documents = [make_document(user), failed_document(user)]
    paths = [Path(document.file.path) for document in documents]
    chosen = {
        "action": "delete_selected",
        "_selected_action": [document.pk for document in documents],
    }

    with django_capture_on_commit_callbacks(execute=True):
        admin_client.post("/admin/documents/document/", {**chosen, "post": "yes"})

    assert not Document.objects.exists()
    assert not any(path.exists() for path in paths)


def test_deleting_a_user_deletes_all_they_had(
    admin_client, user, django_capture_on_commit_callbacks
):
    document = make_document(user)
    make_conversation(user)
    empty_queue()

    with django_capture_on_commit_callbacks(execute=True):
        question = delete(admin_client, user)
        assert not User.objects.get(pk=user.pk).is_active
        forget_user(**ProcrastinateJob.objects.get().args)

    assert not User.objects.filter(pk=user.pk).exists()
    assert not Conversation.objects.exists()
    assert not Path(document.file.path).exists()
    assert re.search(r"Documents:\s*1", question, re.IGNORECASE)


def test_a_transcript_shows_messages_and_citations(admin_client, user):
    document = make_document(user)
    conversation = cited_answer(user, document)

    html = change_page(admin_client, conversation)

    order = ["Hello there", "When is it closed?", "On Mondays [1].", "Closed on Mondays."]
    places = [html.index(text) for text in order]
    assert places == sorted(places)
    assert f'<a href="/admin/documents/document/{document.pk}/change/">museum.txt</a>' in html


def test_a_transcript_shows_how_each_answer_was_searched_for(admin_client, api, user):
    make_document(user)
    conversation = make_conversation(user, mode="grounded_rag")
    post(api, f"/conversations/{conversation.pk}/messages", {"content": "The ticket's price?"})

    html = change_page(admin_client, conversation)

    assert "Search: The ticket&#x27;s price?" in html
    row = re.search(r'<tr class="kept">(.*?)</tr>', html, re.DOTALL)
    assert row
    cells = re.findall(r"<td>(.*?)</td>", row[1])
    assert (cells[0], cells[1], cells[-1]) == ("museum.txt", "1", "kept")


def test_feedback_is_listed_and_leads_to_its_answer(admin_client, user):
    conversation = make_conversation(user)
    answer = conversation.messages.get(role="assistant")
    Feedback.objects.create(message=answer, rating="down", comment="Not <b>so</b>.")

    html = page(admin_client, "conversations/feedback/")

    assert "Not &lt;b&gt;so&lt;/b&gt;." in html
    place = f"/admin/conversations/message/{answer.pk}/change/"
    assert place in html
    assert admin_client.get(place).url == (
        f"/admin/conversations/conversation/{conversation.pk}/change/"
        f"?message={answer.pk}#message-{answer.pk}"
    )
    assert admin_client.get("/admin/conversations/feedback/add/").status_code == 403
    assert "rated down" in change_page(admin_client, conversation)


def test_a_citation_outlives_its_document(admin_client, user):
    document = make_document(user)
    conversation = cited_answer(user, document)
    document.remove()

    html = change_page(admin_client, conversation)

    assert "Closed on Mondays." in html
    assert "museum.txt (deleted)" in html


def test_a_transcript_shows_failed_and_pending_answers(admin_client, user):
    conversation = make_conversation(user)
    _, answer = conversation.ask("And on Sundays?")
    answer.status, answer.error_code = "failed", "model_unavailable"
    answer.error = "The model did not answer."
    answer.settle("It is")
    conversation.ask("And on Tuesdays?")

    html = change_page(admin_client, conversation)

    assert "The model did not answer. <code>model_unavailable</code>" in html
    assert "It is" in html
    assert "No word yet." in html


def test_what_people_wrote_is_shown_as_text(admin_client, user):
    evil = "<script>alert(1)</script>"
    document = make_document(user, f"{evil} opens at nine.", name=f"{evil[:20]}.txt")
    conversation = cited_answer(user, document, quote=evil)
    Conversation.objects.filter(pk=conversation.pk).update(title=evil, system_prompt=evil)
    Message.objects.filter(conversation=conversation).update(content=evil, error=evil)
    Message.objects.filter(conversation=conversation).update(error_code="failed")
    user.username = evil
    user.save()

    pages = [change_page(admin_client, row) for row in (conversation, document, user)]
    pages += [page(admin_client, f"{path}/") for path in LISTS]

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in pages[0]
    assert not any("<script>alert" in html for html in pages)


def test_a_transcript_costs_the_same_queries_however_long(admin_client, user):
    conversation = cited_answer(user, make_document(user))
    with CaptureQueriesContext(connection) as short:
        change_page(admin_client, conversation)
    for _ in range(10):
        _, answer = conversation.ask("Again?")
        complete(answer, "Yes.", [])

    with CaptureQueriesContext(connection) as long:
        change_page(admin_client, conversation)

    assert len(long) == len(short)


def test_a_long_transcript_says_what_it_leaves_out(admin_client, user):
    conversation = make_conversation(user)
    rows = [
        Message(
            conversation=conversation, user=user, position=n, role="user", content=f"message {n}."
        )
        for n in range(2, 205)
    ]
    Message.objects.bulk_create(rows)

    html = change_page(admin_client, conversation)

    assert "5 earlier messages are not shown." in html
    assert "message 204." in html


def test_a_key_is_shown_once(admin_client, user):
    form = {"name": "backend", "owner": str(user.pk), "scopes": ["usage:read"]}

    saved = admin_client.post("/admin/accounts/apikey/add/", form, follow=True).content.decode()
    secret = re.search(r"shown only now: <code[^>]*>(bot_[\w-]{43})<", saved)

    assert secret
    key = APIKey.objects.usable(secret[1])
    assert key is not None
    assert key.owner == user
    assert key.scopes == ["usage:read"]
    again = [page(admin_client, "accounts/apikey/"), change_page(admin_client, key)]
    assert not any(secret[1] in html or key.digest in html for html in again)


def test_a_key_is_made_with_every_scope_unless_told(admin_client):
    html = page(admin_client, "accounts/apikey/add/")

    boxes = re.findall(
        r'<input type="checkbox" name="scopes" value="(\S+)"[^>]*?( checked)?>', html
    )
    assert [name for name, checked in boxes if checked] == every_scope()


def test_scopes_and_expiry_of_a_key_can_be_changed(admin_client, user):
    key, _ = APIKey.objects.issue("backend", user)
    form = {"name": "backend", "owner": str(user.pk), "scopes": ["documents:read", "usage:read"]}
    form |= {"expires_at_0": "2030-01-31", "expires_at_1": "12:00:00"}

    admin_client.post(f"/admin/accounts/apikey/{key.pk}/change/", form)

    key.refresh_from_db()
    assert key.scopes == ["documents:read", "usage:read"]
    assert f"{key.expires_at:%Y-%m-%d}" == "2030-01-31"
    assert "documents:read, usage:read" in page(admin_client, "accounts/apikey/")


def test_a_revoked_key_is_refused(admin_client, user):
    key, secret = APIKey.objects.issue("backend", user)

    chosen = {"action": "revoke", "_selected_action": [key.pk]}
    html = admin_client.post("/admin/accounts/apikey/", chosen, follow=True).content.decode()

    assert "1 revoked." in html
    assert APIKey.objects.usable(secret) is None
