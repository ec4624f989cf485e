"""POST with `Idempotency-Key`: sent twice, done once."""

import asyncio
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, resolve
from django.utils import timezone
from rest_framework.response import Response

from botgpt.accounts.models import APIKey
from conversations import live
from conversations.models import Conversation, Message, WebProcess
from conversations.models.conversation import Asking
from documents import tasks
from documents.exceptions import CallUnderWay
from documents.idempotency import FORGOTTEN_AT_ONCE
from documents.models import Document, IdempotentCall
from documents.repeats import Repeatable
from tests import fake_groq
from tests.factories import (
    assert_problem,
    events_of,
    get,
    make_conversation,
    make_pending,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db

KEY = "order-66"


@pytest.fixture
def conversation(user):
    return make_conversation(user)


def create(api, user_id, key=KEY, **more):
    body = {"user_id": str(user_id), "first_message": "Hello?", **more}
    return post(api, "/conversations", body, **{"Idempotency-Key": key})


def ask(api, conversation, content="And then?", key=KEY, **more):
    path = f"/conversations/{conversation.pk}/messages"
    return post(api, path, {"content": content, **more}, **{"Idempotency-Key": key})


def upload(api, user_id, content=b"The okapi eats leaves.", key=KEY):
    form = {"file": SimpleUploadedFile("a.txt", content), "user_id": str(user_id)}
    return api.post("/api/v1/documents", form, headers={"Idempotency-Key": key})


def search(api, user_id, query="tickets", **headers):
    return post(api, "/search", {"user_id": str(user_id), "query": query}, **headers)


def assert_replayed(response, first):
    assert response.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert (response.status_code, response.json()) == (first.status_code, first.json())


def assert_under_way(response):
    body = assert_problem(response, 409, "idempotent_call_under_way")
    assert (body["retry_after"], response.headers["Retry-After"]) == (1, "1")
    assert "Idempotent-Replayed" not in response.headers


def as_if_under_way(**changes):
    """Leaves the call of the test as it was before anything was saved of it."""
    fields = {"status": None, "body": None, "answer_id": None, **changes}
    assert IdempotentCall.objects.update(**fields) == 1


# --- Answers -------------------------------------------------------------------------------------


def test_a_conversation_opened_twice_is_one(api, user_id, groq):
    first = create(api, user_id)
    second = create(api, user_id)

    assert first.status_code == 201
    assert_replayed(second, first)
    assert Conversation.objects.count() == 1
    assert len(groq.received) == 1


def test_a_message_sent_twice_is_one(api, conversation, groq):
    first = ask(api, conversation)
    second = ask(api, conversation)

    assert first.status_code == 201
    assert_replayed(second, first)
    assert conversation.messages.count() == 4
    assert len(groq.received) == 1


def test_another_key_is_another_call(api, conversation, groq):
    ask(api, conversation)

    assert "Idempotent-Replayed" not in ask(api, conversation, key="order-67").headers
    assert conversation.messages.count() == 6


@pytest.mark.parametrize(
    ("verb", "of", "body"),
    [
        ("retry", Message.Role.ASSISTANT, None),
        ("regenerate", Message.Role.ASSISTANT, None),
        ("edit", Message.Role.USER, {"content": "In other words?"}),
    ],
)
def test_every_call_that_answers_is_made_once(api, conversation, groq, verb, of, body):
    conversation.messages.filter(role=Message.Role.ASSISTANT).update(status="failed")
    message = conversation.messages.get(role=of)
    path = f"/conversations/{conversation.pk}/messages/{message.pk}/{verb}"

    first = post(api, path, body, **{"Idempotency-Key": KEY})
    messages = conversation.messages.count()
    second = post(api, path, body, **{"Idempotency-Key": KEY})

    assert first.status_code == 201
    assert_replayed(second, first)
    assert conversation.messages.count() == messages
    assert len(groq.received) == 1


def test_another_body_with_the_same_key_is_refused(api, conversation, groq):
    ask(api, conversation)

    assert_problem(ask(api, conversation, "Else?"), 422, "idempotency_key_reused")
    assert conversation.messages.count() == 4


def test_the_same_body_at_another_address_is_another_call(api, conversation, user, groq):
    ask(api, conversation)

    other = make_conversation(user)
    assert_problem(ask(api, other), 422, "idempotency_key_reused")


def test_the_order_of_a_bodys_fields_does_not_matter(api, conversation, groq):
    path, key = f"/conversations/{conversation.pk}/messages", {"Idempotency-Key": KEY}
    first = post(api, path, {"content": "Now?", "temperature": 1, "seed": 2}, **key)
    second = post(api, path, {"seed": 2, "temperature": 1, "content": "Now?"}, **key)

    assert_replayed(second, first)


def test_a_key_of_another_caller_is_another_key(api, settings, groq):
    settings.OPEN_ACCESS = False
    body, answers = {"first_message": "Hello?"}, []
    for owner in (make_user(), make_user(), None):
        _, secret = APIKey.objects.issue("a key", owner)
        more = {} if owner else {"user_id": str(uuid4())}
        headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": KEY}
        answers.append(post(api, "/conversations", body | more, **headers))

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert Conversation.objects.count() == 3


def test_a_failed_answer_is_replayed_as_the_same_problem(api, conversation, groq):
    groq.script(fake_groq.error(500))
    first = assert_problem(ask(api, conversation), 503)

    response = ask(api, conversation)

    second = assert_problem(response, 503, first["code"])
    assert response.headers["Idempotent-Replayed"] == "true"
    assert second["answer_id"] == first["answer_id"]
    assert second["detail"] == first["detail"]
    assert len(groq.received) == 1


def test_a_failed_answer_that_was_retried_is_replayed_as_it_is_now(api, conversation, groq):
    groq.script(fake_groq.error(500))
    failed = ask(api, conversation).json()["answer_id"]
    post(api, f"/conversations/{conversation.pk}/messages/{failed}/retry")

    response = ask(api, conversation)

    assert response.status_code == 201
    assert response.json()["answer"]["id"] == failed


def test_a_refused_call_may_be_mended_and_sent_with_its_key_again(api, conversation, groq):
    assert_problem(ask(api, conversation, " "), 400)
    assert IdempotentCall.objects.count() == 0

    assert ask(api, conversation, "Mended").status_code == 201


def test_a_call_that_waited_for_documents_in_vain_may_be_sent_again(api, user, groq, settings):
    settings.DOCUMENT_WAIT_SECONDS = 0.3
    document = make_pending(user)
    asked = {"mode": "grounded_rag", "document_ids": [str(document.pk)]}
    assert_problem(create(api, user.pk, **asked), 409, "documents_not_ready")
    Document.objects.update(status=Document.Status.READY)

    assert create(api, user.pk, **asked).status_code == 201


def test_while_the_first_call_runs_the_second_is_a_conflict(api, conversation, groq):
    answer_id = ask(api, conversation).json()["answer"]["id"]
    process = live.process_id()
    WebProcess.sign_of_life(process)

    Message.objects.filter(pk=answer_id).update(status="pending", process=process)
    assert_under_way(ask(api, conversation))

    as_if_under_way()
    assert_under_way(ask(api, conversation))
    assert len(groq.received) == 1


def test_an_answer_whose_process_died_is_told_as_interrupted(api, conversation, groq):
    answer_id = ask(api, conversation).json()["answer"]["id"]
    long_ago = timezone.now() - timedelta(minutes=1)
    Message.objects.filter(pk=answer_id).update(
        status="pending", process=uuid4(), started_at=long_ago
    )

    body = assert_problem(ask(api, conversation), 503, "interrupted")
    assert body["answer_id"] == answer_id


@pytest.mark.parametrize("what", ["conversation", "question", "answer"])
def test_what_was_deleted_meanwhile_is_not_found(api, conversation, groq, what):
    made = ask(api, conversation).json()
    match what:
        case "conversation":
            conversation.delete()
        case "question":
            conversation.delete_message(made["message"]["id"])
        case "answer":
            conversation.delete_message(made["answer"]["id"])

    assert_problem(ask(api, conversation), 404)
    assert len(groq.received) == 1


# --- Streams -------------------------------------------------------------------------------------


def texts_of(events):
    return "".join(data["text"] for _, event, data in events if event == "delta")


def test_a_stream_asked_for_again_tells_the_same(api, conversation, groq):
    first = ask(api, conversation, stream=True)
    second = ask(api, conversation, stream=True)

    assert second.headers["Idempotent-Replayed"] == "true"
    told, again = events_of(first), events_of(second)
    assert (told[0][:2], told[-1]) == (again[0][:2], again[-1])
    assert texts_of(told) == texts_of(again) == "You asked: And then?"
    assert len(groq.received) == 1


def test_a_stream_may_be_asked_for_of_what_was_answered_whole(api, conversation, groq):
    whole = ask(api, conversation).json()
    path = f"/conversations/{conversation.pk}/messages"
    headers = {"Idempotency-Key": KEY, "Accept": "text/event-stream"}

    events = events_of(post(api, path, {"content": "And then?"}, **headers))

    assert events[-1][1:] == ("message.completed", {"answer": whole["answer"]})


def test_a_stream_of_a_new_conversation_tells_of_the_conversation_again(api, user_id, groq):
    first = events_of(create(api, user_id, stream=True))
    second = events_of(create(api, user_id, stream=True))

    assert second[0][0] == first[0][0]
    assert second[0][2]["id"] == first[0][2]["id"]


def test_a_stream_under_way_is_joined_from_its_beginning(api, conversation, groq):
    groq.script(fake_groq.answer("one two three four", delay=0.1))
    address = f"/api/v1/conversations/{conversation.pk}/messages"
    body = json.dumps({"content": "Count", "stream": True})

    async def send():
        return await AsyncClient().generic(
            "POST", address, body, "application/json", headers={"Idempotency-Key": KEY}
        )

    async def read(response):
        response.sent = b"".join([part async for part in response.streaming_content])
        return events_of(response)

    async def both():
        first = await send()
        second = await send()
        return second, await asyncio.gather(read(first), read(second))

    second, (told, joined) = async_to_sync(both)()

    assert second.headers["Idempotent-Replayed"] == "true"
    assert [event for _, event, _ in joined].count("delta") > 1
    assert texts_of(joined) == texts_of(told) == "one two three four"
    assert joined[-1] == told[-1]
    assert len(groq.received) == 1


# --- Other calls ---------------------------------------------------------------------------------


def test_an_upload_sent_twice_is_answered_as_the_first(api, user_id):
    first = upload(api, user_id)
    second = upload(api, user_id)

    assert first.status_code == 201  # without a key the second would be a 200
    assert_replayed(second, first)
    assert second.headers["Location"] == first.headers["Location"]


def test_another_file_with_the_same_key_is_refused(api, user_id):
    upload(api, user_id)

    response = upload(api, user_id, b"The okapi eats grass.")

    assert_problem(response, 422, "idempotency_key_reused")
    assert Document.objects.count() == 1


def test_a_file_is_kept_whole_where_it_was_sent_with_a_key(api, user_id):
    upload(api, user_id, b"The okapi eats leaves.")

    assert Document.objects.get().file.read() == b"The okapi eats leaves."


def test_a_file_that_was_refused_may_be_followed_by_another(api, user_id):
    assert_problem(upload(api, user_id, b"\x00\x01\x02"), 415)

    assert upload(api, user_id).status_code == 201


def test_a_search_is_answered_as_it_was(api, user, document):
    first = search(api, user.pk, **{"Idempotency-Key": KEY})
    Document.objects.all().delete()
    second = search(api, user.pk, **{"Idempotency-Key": KEY})

    assert first.json()["results"]
    assert_replayed(second, first)


def test_a_document_is_read_again_once(api, document):
    path = f"/documents/{document.pk}/reprocess"
    first = post(api, path, **{"Idempotency-Key": KEY})
    second = post(api, path, **{"Idempotency-Key": KEY})

    assert first.status_code == 202  # without a key the second would be a 409
    assert_replayed(second, first)


def test_going_to_a_branch_twice_is_answered_as_the_first(api, conversation):
    message = conversation.messages.get(role="user")
    path = f"/conversations/{conversation.pk}/messages/{message.pk}/activate"
    first = post(api, path, **{"Idempotency-Key": KEY})
    second = post(api, path, **{"Idempotency-Key": KEY})

    assert first.status_code == 200
    assert_replayed(second, first)


def test_stopping_an_answer_twice_is_answered_as_the_first(api, conversation, monkeypatch):
    monkeypatch.setattr("conversations.branch_views.STOPPED_WITHIN_SECONDS", 0)
    answer = conversation.messages.get(role="assistant")
    process = live.process_id()
    WebProcess.sign_of_life(process)
    Message.objects.filter(pk=answer.pk).update(status="pending", process=process)
    path = f"/conversations/{conversation.pk}/messages/{answer.pk}/cancel"

    first = post(api, path, **{"Idempotency-Key": KEY})
    Message.objects.filter(pk=answer.pk).update(status="completed")
    second = post(api, path, **{"Idempotency-Key": KEY})

    assert first.status_code == 200  # without a key the second would be a 409
    assert_replayed(second, first)


def test_an_error_of_ours_lets_the_call_be_sent_again(api, user, document, monkeypatch):
    monkeypatch.setattr("documents.views.find_highlights", lambda *_: 1 / 0)
    assert_problem(search(api, user.pk, **{"Idempotency-Key": KEY}), 500)
    monkeypatch.undo()

    assert search(api, user.pk, **{"Idempotency-Key": KEY}).status_code == 200


def test_a_refusal_that_a_view_returns_lets_the_call_be_sent_again(rf):
    class Refusing(Repeatable):
        resource = "documents"
        reads = frozenset()

        def post(self, request):
            return Response({}, 409)

    request = rf.post("/", {}, "application/json", headers={"Idempotency-Key": KEY})
    request.resolver_match = resolve("/api/v1/search")
    response = Refusing.as_view()(request)

    assert response.status_code == 409
    assert not IdempotentCall.objects.exists()


def test_a_key_means_nothing_where_nothing_is_posted(api, user):
    assert get(api, "/documents", **{"Idempotency-Key": "two words"}).status_code == 200
    assert not IdempotentCall.objects.exists()


def test_openais_api_knows_no_key(api, groq):
    body = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": "Hi"}]}
    for _ in range(2):
        api.post(
            "/openai/v1/chat/completions",
            body,
            "application/json",
            headers={"Idempotency-Key": KEY},
        )

    assert len(groq.received) == 2
    assert not IdempotentCall.objects.exists()


def test_a_call_without_a_key_costs_no_query_for_it(api, user, document):
    with CaptureQueriesContext(connection) as queries:
        search(api, user.pk)

    assert not [one for one in queries if "idempotentcall" in str(one["sql"])]


def test_every_post_of_the_api_can_be_repeated():
    without, found = [], 0
    for pattern in get_resolver().url_patterns:
        if str(pattern.pattern) != "api/v1/":
            continue
        for address in pattern.url_patterns:
            view = address.callback.view_class
            if hasattr(view, "post"):
                found += 1
                without += [] if issubclass(view, Repeatable) else [str(address.pattern)]

    assert found >= 10
    assert without == []


def test_the_schema_names_the_header_on_every_post(client):
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method in {"get", "post", "put", "patch", "delete"} & methods.keys():
            named = {one["name"] for one in methods[method].get("parameters", [])}
            ours = method == "post" and path.startswith("/api/")
            assert ("Idempotency-Key" in named) == ours, path


# --- Keys and their time -------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", "k" * 256, "two words", "schlüssel"])
def test_a_key_is_visible_ascii(api, user, key):
    body = assert_problem(search(api, user.pk, **{"Idempotency-Key": key}), 400, "invalid")

    assert "Idempotency-Key" in body["errors"]


def test_the_longest_key(api, user, document):
    for _ in range(2):
        response = search(api, user.pk, **{"Idempotency-Key": "~" * 255})

    assert response.headers["Idempotent-Replayed"] == "true"


def test_a_call_whose_process_died_before_it_saved_anything_is_taken_over(api, conversation, groq):
    ask(api, conversation)
    as_if_under_way(created_at=timezone.now() - timedelta(seconds=59))
    assert_under_way(ask(api, conversation))

    IdempotentCall.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    assert_problem(ask(api, conversation, "Else?"), 422, "idempotency_key_reused")
    assert ask(api, conversation).status_code == 201
    assert conversation.messages.count() == 6


def test_who_lost_a_call_to_another_saves_no_question(conversation):
    call = IdempotentCall.objects.claim("open", KEY, "digest")
    IdempotentCall.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    taken_over = IdempotentCall.objects.claim("open", KEY, "digest")

    with pytest.raises(CallUnderWay):
        conversation.ask("Late?", Asking(call_id=call.pk))
    conversation.ask("In time?", Asking(call_id=taken_over.pk))

    assert conversation.messages.filter(role="user").last().content == "In time?"
    assert conversation.messages.count() == 4


def test_a_call_that_has_an_answer_to_come_is_not_given_up():
    call = IdempotentCall.objects.claim("open", KEY, "digest")
    IdempotentCall.objects.tie(call.pk, uuid4(), [])
    call.give_up()

    assert IdempotentCall.objects.exists()


def test_an_answered_call_is_not_taken_over(api, conversation, groq):
    first = ask(api, conversation)
    IdempotentCall.objects.update(created_at=timezone.now() - timedelta(hours=23))

    assert_replayed(ask(api, conversation), first)


def test_after_a_day_a_key_is_new(api, conversation, groq):
    ask(api, conversation)
    IdempotentCall.objects.update(created_at=timezone.now() - timedelta(hours=25))

    assert ask(api, conversation, "Else?").status_code == 201
    assert IdempotentCall.objects.count() == 1


def test_the_worker_removes_the_keys_of_yesterday():
    old = [
        IdempotentCall(caller="open", key=str(number), digest="x")
        for number in range(2 * FORGOTTEN_AT_ONCE + 1)
    ]
    IdempotentCall.objects.bulk_create(old)
    IdempotentCall.objects.update(created_at=timezone.now() - timedelta(hours=25))
    IdempotentCall.objects.create(caller="open", key="new", digest="x")

    assert IdempotentCall.objects.forget_old() == FORGOTTEN_AT_ONCE
    tasks.forget_calls(0)

    assert [call.key for call in IdempotentCall.objects.all()] == ["new"]
