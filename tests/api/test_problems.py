"""What a mistaken call is told, and what the log says of it."""

import io
import json
import logging
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from botgpt.api.logs import LineFormatter
from conversations import turn
from conversations.models import Conversation, Message
from documents.models import Document
from tests import fake_groq
from tests.factories import (
    assert_problem,
    get,
    make_conversation,
    make_document,
    make_pending,
    make_user,
    post,
    upload,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def log():
    """What the console's own handler writes."""
    [console] = [h for h in logging.getLogger().handlers if isinstance(h.formatter, LineFormatter)]
    written = io.StringIO()
    before = console.setStream(written)
    yield written
    console.setStream(before)


def ask(api, user_id, **body):
    body = {"user_id": str(user_id), "first_message": "When does it open?", **body}
    return post(api, "/conversations", body)


def form(*parts):
    """A multipart body of (disposition, content), written out as no library would."""
    blocks = [f"--x\r\nContent-Disposition: form-data; {head}\r\n\r\n{text}\r\n"
              for head, text in parts]  # fmt: skip
    return "".join(blocks) + "--x--\r\n", "multipart/form-data; boundary=x"


def send_form(api, *parts):
    body, kind = form(*parts)
    return api.generic("POST", "/api/v1/documents", body, kind)


# --- The model -----------------------------------------------------------------------------------


def test_a_rate_limit_tells_how_long_to_wait(api, user_id, groq):
    groq.script(fake_groq.error(429, {"Retry-After": "6.2"}))

    response = ask(api, user_id)

    body = assert_problem(response, 429, "model_rate_limited")
    assert (body["retry_after"], response.headers["Retry-After"]) == (7, "7")
    assert "7 seconds" in body["detail"]


def test_a_rate_limit_of_unknown_length_promises_no_number(api, user_id, groq):
    groq.script(fake_groq.error(429))

    response = ask(api, user_id)

    body = assert_problem(response, 429, "model_rate_limited")
    assert "retry_after" not in body
    assert "Retry-After" not in response.headers
    assert "Retry-After" not in body["detail"]


@pytest.mark.parametrize(
    "reply",
    [fake_groq.error(400, code="context_length_exceeded"), fake_groq.error(413)],
)
def test_more_than_the_model_takes_is_for_the_caller_to_shorten(api, user_id, groq, reply):
    groq.script(reply)

    body = assert_problem(ask(api, user_id), 422, "question_too_long")

    assert "shorten" in body["detail"]
    assert Message.objects.get(pk=body["answer_id"]).error_code == "question_too_long"


def test_an_error_of_ours_names_the_turn_and_is_logged_once(api, user_id, monkeypatch, log):
    def fail(*args, **kwargs):
        raise RuntimeError("secret words")

    monkeypatch.setattr(turn.context, "fit", fail)

    body = assert_problem(ask(api, user_id), 500, "internal_error")

    answer = Message.objects.get(pk=body["answer_id"])
    assert answer.status == "failed"
    assert str(answer.conversation_id) == body["conversation_id"]
    assert answer.conversation.messages.filter(pk=body["message_id"]).exists()
    assert "secret" not in str(body)
    assert log.getvalue().count("Traceback") - log.getvalue().count("direct cause") == 1
    assert log.getvalue().count(" ERROR ") == 1


# --- Documents -----------------------------------------------------------------------------------


def test_documents_that_cannot_be_read_are_named_with_their_reason(api, user_id):
    document = make_pending(make_user(user_id))
    document.mark_failed("no_text", "The file holds no text.")

    body = assert_problem(ask(api, user_id, mode="grounded_rag"), 409, "documents_not_ready")

    assert "late.txt" in body["detail"]
    assert "The file holds no text." in body["detail"]


def test_of_many_documents_that_cannot_be_read_the_newest_are_named(api, user_id):
    user = make_user(user_id)
    for number in range(5):
        make_pending(user, f"text {number}").mark_failed("no_text", "The file holds no text.")

    body = assert_problem(ask(api, user_id, mode="grounded_rag"), 409, "documents_not_ready")

    assert body["detail"].count("late.txt") == 3
    assert "2 more" in body["detail"]


@pytest.mark.parametrize(
    "parts",
    [
        [('name="file"', "text")],
        [('name="File"; filename="a.txt"', "text")],
        [('name="file"; filename=""', "text")],
        [],
    ],
)
def test_an_upload_without_a_file_is_told_how_to_send_it(api, user_id, parts):
    response = send_form(api, ('name="user_id"', user_id), *parts)

    [text] = assert_problem(response, 400, "invalid")["errors"]["file"]
    assert "multipart" in text
    assert "filename" in text


def test_a_part_sent_twice_is_refused_by_name(api, user_id):
    file = ('name="file"; filename="a.txt"', "text")
    user = ('name="user_id"', user_id)

    assert "file" in assert_problem(send_form(api, file, file, user), 400)["errors"]
    twice = send_form(api, file, user, ('name="user_id"', uuid4()))
    assert "user_id" in assert_problem(twice, 400)["errors"]
    assert Document.objects.count() == 0


@pytest.mark.parametrize("path", ["/documents", "/conversations"])
def test_a_user_named_twice_in_the_address_is_refused(api, user_id, path):
    response = get(api, f"{path}?user_id={user_id}&user_id={uuid4()}")

    assert "user_id" in assert_problem(response, 400)["errors"]


# --- Text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["5", "1e400", "1.5", "true", "[]"])
def test_only_text_is_text(api, user_id, value):
    conversation = make_conversation(make_user(user_id))

    def refused(method, path, field):
        body = {"user_id": str(user_id), "first_message": "x"} if path == "" else {"content": "x"}
        text = json.dumps(({} if method == "PATCH" else body) | {field: "?"}).replace('"?"', value)
        response = api.generic(method, f"/api/v1/conversations{path}", text, "application/json")
        assert list(assert_problem(response, 400)["errors"]) == [field]

    for field in ("first_message", "title", "system_prompt", "model", "user_id"):
        refused("POST", "", field)
    refused("POST", f"/{conversation.pk}/messages", "content")
    for field in ("title", "system_prompt", "model"):
        refused("PATCH", f"/{conversation.pk}", field)
    assert Conversation.objects.count() == 1


@pytest.mark.parametrize("value", [5, True])
def test_a_document_is_not_named_by_a_number(api, user_id, value):
    response = ask(api, user_id, mode="grounded_rag", document_ids=[value])

    assert "document_ids.0" in assert_problem(response, 400)["errors"]


# --- Asking again --------------------------------------------------------------------------------


def test_a_message_that_is_not_there_cannot_be_asked_again(api, user_id):
    user = make_user(user_id)
    conversation, other = make_conversation(user), make_conversation(user)

    for wrong in (uuid4(), other.messages.last().pk):
        path = f"/conversations/{conversation.pk}/messages/{wrong}/retry"
        assert_problem(post(api, path), 404, "not_found")


def test_asking_again_refuses_what_it_does_not_know(api, user_id, groq):
    groq.script(fake_groq.error(500))
    failed = ask(api, user_id).json()

    path = f"/conversations/{failed['conversation_id']}/messages/{failed['answer_id']}/retry"
    assert "content" in assert_problem(post(api, path, {"content": "x"}), 400)["errors"]
    assert api.generic("POST", f"/api/v1{path}").status_code == 201


# --- Addresses and headers -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/{}/messages"])
def test_a_list_is_never_called_a_stream(api, user_id, path):
    path = "/conversations" + path.format(make_conversation(make_user(user_id)).pk)

    assert_problem(get(api, path, Accept="text/event-stream"), 406)
    either = get(api, path, Accept="text/event-stream, application/json")
    assert either.headers["Content-Type"] == "application/json"


# --- The log -------------------------------------------------------------------------------------


def oversized(api, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    return api.post("/admin/login/", {"username": "x" * 50}), 400


def from_nowhere(api, settings):
    return get(api, "/models", Host="elsewhere.invalid"), 400


def too_many_files(api, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 2
    files = {f"file{number}": SimpleUploadedFile("a.txt", b"a") for number in range(4)}
    return api.post("/api/v1/documents", files), 400


def too_many_fields(api, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 2
    return upload(api, b"text", **{f"field{number}": "x" for number in range(9)}), 400


@pytest.mark.parametrize("send", [oversized, from_nowhere, too_many_files, too_many_fields])
def test_a_callers_mistake_is_no_error_of_ours(api, settings, log, send):
    response, status = send(api, settings)

    assert response.status_code == status
    assert " ERROR " not in log.getvalue()
    assert "Traceback" not in log.getvalue()


@pytest.mark.parametrize("https", [False, True])
def test_a_refused_host_is_a_problem_and_the_log_names_it(settings, log, https):
    settings.SECURE_SSL_REDIRECT = https

    response = Client().get("/api/v1/models", headers={"Host": "elsewhere.invalid"})

    assert_problem(response, 400)
    assert "WARNING django.security.DisallowedHost" in log.getvalue()
    assert "elsewhere.invalid" in log.getvalue()


def test_a_page_that_is_not_there_keeps_its_protective_headers(api):
    response = api.get("/nowhere")

    assert_problem(response, 404)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"


def test_a_form_of_too_many_parts_is_told_so(api, settings):
    response, _ = too_many_files(api, settings)

    assert "parts" in assert_problem(response, 400)["detail"]


def test_a_document_of_a_conversation_is_still_searched(api, user_id):
    document = make_document(make_user(user_id))

    assert ask(api, user_id, mode="grounded_rag", document_ids=[str(document.pk)]).json()["answer"]
