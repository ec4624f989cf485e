"""No text of a message or document, and no key, gets into logs, errors, histories or jobs."""

import io
import json
import logging

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from procrastinate.contrib.django.models import ProcrastinateEvent, ProcrastinateJob

from botgpt.accounts.models import APIKey
from botgpt.api.logs import JSONFormatter, LineFormatter
from conversations.models import Conversation
from documents.models import Document
from tests import fake_groq
from tests.factories import (
    call,
    get,
    make_conversation,
    make_document,
    make_user,
    patch,
    post,
    upload,
)

pytestmark = pytest.mark.django_db
MARKER = "Quetzalcoatlus"


@pytest.fixture(autouse=True)
def lines_for_programs():
    """The same in JSON, in which nothing may stand either."""
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    handler.setFormatter(JSONFormatter())
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)
    assert all(json.loads(line)["time"] for line in told.getvalue().splitlines())
    assert MARKER not in told.getvalue()
    assert "gsk_test" not in told.getvalue()


@pytest.fixture
def log(settings):
    """What the product logs, and what its database does."""
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    handler.setFormatter(LineFormatter())
    logging.getLogger().addHandler(handler)
    database = settings.DATA_DIR / "postgres.log"
    start = database.stat().st_size if database.exists() else 0

    def read():
        of_database = database.read_bytes()[start:].decode() if database.exists() else ""
        return told.getvalue() + of_database

    yield read
    logging.getLogger().removeHandler(handler)


def refuse(table, column):
    """The database refuses a row that holds the marker, and quotes the row."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT refused CHECK ({column} NOT LIKE '%{MARKER}%')"
        )


def test_nothing_that_goes_well_is_told_word_for_word(api, user_id, groq, log):
    make_document(make_user(user_id), f"A {MARKER} eats fish.", "b.txt")
    asked = {"user_id": str(user_id), "first_message": f"What does a {MARKER} eat?"}
    for mode in ("open_chat", "grounded_rag"):
        body = post(api, "/conversations", {**asked, "mode": mode}).json()
        answer = f"/conversations/{body['id']}/messages/{body['answer']['id']}"
        assert call(api, "PUT", f"{answer}/feedback", f'{{"rating": "up", "comment": "{MARKER}"}}')
        patch(api, f"/conversations/{body['id']}", {"title": MARKER})
        get(api, f"/conversations/{body['id']}/export")
    get(api, f"/conversations/search?user_id={user_id}&q={MARKER}")
    post(api, "/search", {"user_id": str(user_id), "query": MARKER})

    uploaded = upload(api, f"The {MARKER} flies.".encode(), name=f"{MARKER}.txt", user_id=user_id)
    assert uploaded.status_code == 201

    assert "answer completed" in log()
    assert MARKER not in log()
    jobs = [*ProcrastinateJob.objects.values(), *ProcrastinateEvent.objects.values()]
    assert str(uploaded.json()["id"]) in str(jobs)
    assert MARKER not in str(jobs)


@pytest.mark.parametrize(
    "body",
    [
        f'{{"first_message": "{MARKER}", "mode": "{MARKER}"}}',
        f'{{"first_message": "{MARKER}" {MARKER}',
        f'{{"user_id": "{MARKER}", "first_message": ["{MARKER}"]}}',
    ],
)
def test_a_refused_question_is_not_logged(api, log, body):
    assert call(api, "POST", f"/conversations?q={MARKER}", body).status_code == 400
    assert call(api, "POST", f"/nowhere?q={MARKER}", body).status_code == 404

    assert "status=400" in log()
    assert MARKER not in log()


@pytest.mark.parametrize(
    "reply",
    [
        fake_groq.error(400, code=MARKER),
        fake_groq.error(401, code=MARKER),
        fake_groq.error(503, code=MARKER),
        fake_groq.html(),
        fake_groq.malformed(),
        fake_groq.error_in_stream(),
        fake_groq.cut(),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_fails_is_told_by_a_code(api, user_id, groq, log, reply, stream):
    groq.script(reply)

    post(
        api, "/conversations", {"user_id": str(user_id), "first_message": MARKER, "stream": stream}
    )

    assert "answer failed" in log()
    assert MARKER not in log()
    assert "gsk_test" not in log()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("table", "column"),
    [("conversations_message", "content"), ("conversations_conversation", "title")],
)
def test_a_row_that_the_database_refuses_is_not_logged(api, user_id, log, table, column, stream):
    refuse(table, column)

    asked = {"user_id": str(user_id), "first_message": MARKER, "stream": stream}
    response = post(api, "/conversations", asked)

    assert response.status_code == 500
    assert MARKER not in response.content.decode()
    assert "psycopg.errors.CheckViolation 23514" in log()
    assert 'violates check constraint "refused"' in log()
    assert MARKER not in log()


@pytest.mark.parametrize(
    ("table", "column"), [("documents_document", "name"), ("documents_chunk", "text")]
)
def test_a_document_that_the_database_refuses_is_not_logged(api, user_id, log, table, column):
    refuse(table, column)
    text = f"The {MARKER} flies.".encode()

    if column == "name":
        response = upload(api, text, name=f"{MARKER}.txt", user_id=user_id)
        assert response.status_code == 500
    else:
        with pytest.raises(Exception, match="refused"):
            make_document(make_user(user_id), text.decode())

    assert 'violates check constraint "refused"' in log()
    assert MARKER not in log()


def test_what_an_exception_says_is_not_logged(log):
    logger = logging.getLogger("botgpt.test")
    try:
        try:
            {}[MARKER]
        except KeyError as error:
            raise ExceptionGroup(
                MARKER, [ValueError(MARKER), OSError(28, "No space left", MARKER)]
            ) from error
    except ExceptionGroup as group:
        logger.exception("it failed: %s", group, extra={"error": group})
        logger.error(group)

    assert log().count("ExceptionGroup") >= 4
    for name in ("KeyError", "ValueError", "OSError: No space left", "in test_what_an_exception"):
        assert name in log()
    assert MARKER not in log()


def test_a_line_that_an_event_breaks_stays_one(log):
    logging.getLogger("botgpt.test").info("one\r\ntwo\u2028three", extra={"a": "b\nc"})

    assert len(log().splitlines()) == 1


def test_keys_are_not_logged(api, user_id, log, settings):
    settings.OPEN_ACCESS = False
    _, secret = APIKey.objects.issue("shop", make_user(user_id))

    for given in (secret, f"{secret}x", MARKER):
        get(api, f"/conversations?api_key={given}", Authorization=f"Bearer {given}")
        get(api, "/conversations", Authorization=f"Basic {given}")

    assert log().count("status=401") == 5
    assert MARKER not in log()
    assert secret not in log()


def test_the_admins_history_holds_nothing_of_what_is_deleted(admin_client, user, log):
    titled = {"title": f"On {MARKER}"}
    one, two, three = (make_conversation(user, **titled) for _ in range(3))
    document = make_document(user, name=f"{MARKER}.txt")
    page = "/admin/conversations/conversation/"
    chosen = {"action": "delete_selected", "_selected_action": [two.pk, three.pk], "post": "yes"}

    admin_client.post(f"{page}{one.pk}/delete/", {"post": "yes"})
    admin_client.post(page, chosen)
    admin_client.post(f"/admin/documents/document/{document.pk}/delete/", {"post": "yes"})

    assert not Conversation.objects.exists()
    assert not Document.objects.exists()
    kept = LogEntry.objects.get()  # that the document was deleted, by whom and when
    assert (kept.object_repr, kept.change_message) == (str(document.pk), "")
    assert MARKER not in log()
