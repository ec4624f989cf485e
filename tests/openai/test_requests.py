"""What OpenAI's API refuses here, what it lets pass, and how exchanges are kept."""

import json
from uuid import UUID, uuid4

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient

from botgpt.accounts.models import APIKey
from conversations import live
from conversations.models import Conversation, Message, UsageEntry
from conversations.openai import files
from conversations.openai.chunks import Chunks
from conversations.openai.shapes import Head
from conversations.turn import Turn
from tests import fake_groq
from tests.factories import make_document, make_pending, make_user

pytestmark = pytest.mark.django_db

MODEL = "openai/gpt-oss-20b"
HELLO = [{"role": "user", "content": "Hello"}]


def call(path, body=None, method="POST", **headers):
    """A call as a server makes it; a stream is read to its end."""

    async def within_one_loop():
        client = AsyncClient(raise_request_exception=False)
        response = await client.generic(
            method, f"/openai/v1/{path}", json.dumps(body), "application/json", headers=headers
        )
        if response.streaming:
            response.sent = b"".join([part async for part in response.streaming_content])
        return response

    return async_to_sync(within_one_loop)()


def chat(*said, headers=None, **body):
    """Roles take turns, the user's last."""
    roles = ["assistant", "user"]
    messages = [
        {"role": roles[(len(said) - place) % 2], "content": text} for place, text in enumerate(said)
    ]
    body = {"model": MODEL, "messages": messages or HELLO, **body}
    return call("chat/completions", body, **(headers or {}))


def assert_error(response, status, param=None, code=None):
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/json"
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    if param:
        assert error["param"] == param
    if code:
        assert error["code"] == code
    return error


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("n", 2),
        ("logprobs", True),
        ("response_format", {"type": "json_object"}),
        ("logit_bias", {"50256": -100}),
        ("frequency_penalty", 0.5),
        ("temperature", 3),
        ("max_tokens", 0),
        ("documents", [{"source": {"type": "text", "text": "The museum opens at nine."}}]),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(field, value):
    error = assert_error(chat(**{field: value}), 400)

    assert error["param"].startswith(field)
    assert error["type"] == "invalid_request_error"
    assert not Conversation.objects.exists()


def test_what_changes_nothing_is_let_pass(groq):
    harmless = {
        "n": 1,
        "tools": [],
        "store": True,
        "metadata": {"a": "b"},
        "stream_options": None,
        "parallel_tool_calls": True,
        "service_tier": "auto",
        "presence_penalty": 0,
        "response_format": {"type": "text"},
        "temperature": None,
        "user": "someone",
        "anything_new": {"x": 1},
    }

    assert chat(**harmless).status_code == 200


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        (None, "messages"),
        ("Hello", "messages"),
        ([{"role": "assistant", "content": "Hi"}], "messages"),
        ([{"role": "system", "content": "Be brief."}], "messages"),
        ([{"role": "user", "content": "  "}], "messages"),
        ([{"role": "tool", "content": "x", "tool_call_id": "1"}], "messages.0.role"),
        ([{"role": "user", "content": "x\u0000y"}], "messages.0.content"),
        ([{"role": "user", "content": 7}], "messages.0.content"),
        ([{"role": "user", "content": "x" * 32_001}], "messages.0.content"),
        ([{"role": "system", "content": "x" * 20_000}] * 2 + HELLO, "messages"),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}, *HELLO], "messages.0.tool_calls"),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"file_data": "…"}}]}],
            "messages.0.content",
        ),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
            "messages.0.content",
        ),
    ],
)
def test_messages_that_cannot_be_answered_are_refused_by_place(messages, param):
    assert_error(chat(messages=messages), 400, param)


def test_images_are_refused_in_plain_words():
    parts = [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]

    error = assert_error(chat(messages=[{"role": "user", "content": parts}]), 400)

    assert "image_url" in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "embeddings", 404),
        ("GET", "files/file-abc", 404),
        ("GET", "chat/completions", 405),
        ("PUT", "models", 405),
    ],
)
def test_what_is_not_there_is_told_in_the_same_shape(method, path, status):
    assert_error(call(path, {}, method), status)


def test_a_body_that_is_no_json_is_told_in_the_same_shape(api):
    response = api.post("/openai/v1/chat/completions", "{", "application/json")

    assert_error(response, 400, code="parse_error")


def test_an_error_of_ours_is_told_in_the_same_shape(api, monkeypatch):
    def fail(document):
        raise RuntimeError("secret words")

    monkeypatch.setattr(files, "file_body", fail)
    user = make_user()
    make_document(user)

    response = api.get("/openai/v1/files", headers={"X-User-ID": str(user.pk)})

    error = assert_error(response, 500)
    assert error["type"] == "server_error"
    assert "secret" not in str(error)


def test_a_question_longer_than_the_window_is_told_by_openais_code(settings):
    settings.CONTEXT_TOKENS = 4_200

    error = assert_error(chat("word " * 6_000), 400)

    assert error["code"] == "context_length_exceeded"


def test_a_model_that_is_over_capacity_is_told_with_its_status(groq):
    groq.script(fake_groq.error(503))

    assert assert_error(chat(), 503)["type"] == "server_error"
    assert Message.objects.get(role="assistant").status == "failed"


@pytest.mark.parametrize(("open_access", "status"), [(True, 200), (False, 401)])
def test_any_key_will_do_where_none_is_asked_for(settings, open_access, status):
    settings.OPEN_ACCESS = open_access

    response = chat(headers={"Authorization": "Bearer sk-anything"})

    assert response.status_code == status


def test_a_key_of_ours_that_is_revoked_is_refused_even_there():
    assert_error(chat(headers={"Authorization": "Bearer bot_revoked"}), 401, code="invalid_api_key")


def test_a_service_key_has_one_user_of_its_own_unless_one_is_named(settings):
    settings.OPEN_ACCESS = False
    named, forwarded = uuid4(), uuid4()
    keys = [{"Authorization": f"Bearer {APIKey.objects.issue(n)[1]}"} for n in ("shop", "desk")]
    as_user = [
        chat(headers=keys[0]),
        chat(headers=keys[0], user="customer 42"),
        chat(headers=keys[1]),
        chat(headers=keys[0], user=str(named)),
        chat(headers=keys[0] | {"X-User-ID": str(named)}),
        chat(headers=keys[0] | {"X-OpenWebUI-User-Id": str(forwarded)}),
    ]

    own, same, other, *rest = [user_of(response) for response in as_user]

    assert own == same
    assert other not in (own, named)
    assert rest == [named, named, forwarded]


def test_a_users_key_acts_for_its_owner_whoever_is_named(settings):
    settings.OPEN_ACCESS = False
    owner = make_user()
    key = {"Authorization": f"Bearer {APIKey.objects.issue('shop', owner)[1]}"}

    response = chat(headers=key | {"X-User-ID": str(uuid4())}, user=str(uuid4()))

    assert user_of(response) == owner.pk


def test_a_user_header_that_is_no_uuid_is_refused():
    assert_error(chat(headers={"X-User-ID": "me"}), 400, "X-User-ID")


def user_of(response) -> UUID:
    assert response.status_code == 200, response.content
    return Conversation.objects.get(pk=response.json()["conversation_id"]).user_id


def test_an_exchange_is_an_ordinary_conversation_with_its_usage(groq):
    messages = [{"role": "developer", "content": "Be brief."}, *HELLO]

    body = chat(messages=messages, temperature=0.5).json()

    conversation = Conversation.objects.get(pk=body["conversation_id"])
    assert (conversation.mode, conversation.system_prompt) == ("open_chat", "Be brief.")
    assert (conversation.title, conversation.title_due) == ("Hello", False)
    answer = conversation.messages.get(role="assistant")
    assert body["id"] == f"chatcmpl-{answer.pk}"
    assert answer.sampling["temperature"] == 0.5
    assert UsageEntry.objects.get().message_id == answer.pk


def test_a_request_goes_on_with_the_conversation_that_says_the_same():
    first = chat("Hello").json()
    said = first["choices"][0]["message"]["content"]

    def again(**body):
        return chat("Hello", said, "More?", **body).json()["conversation_id"]

    as_pirate = [{"role": "system", "content": "Speak like a pirate."}]
    said_before = [*HELLO, {"role": "assistant", "content": said}]
    others = [
        again(messages=as_pirate + said_before + HELLO),
        again(messages=[{"role": "user", "content": "Hi"}, *said_before[1:], *HELLO]),
        again(messages=[*HELLO, *said_before, *HELLO]),
    ]
    user = str(uuid4())
    others.append(chat("Hello", said, "More?", user=user).json()["conversation_id"])

    assert again() == first["conversation_id"]
    # It says more by now than that request says was said.
    others.append(again())
    assert len({first["conversation_id"], *others}) == 6
    kept = Message.objects.filter(conversation=others[0]).order_by("position")
    assert [one.content for one in kept][:3] == ["Hello", said, "Hello"]


def test_a_request_goes_on_only_where_its_files_are_the_same(user, document):
    other = make_document(user, text="The okapi eats leaves.", name="okapi.txt")
    headers = {"X-User-ID": str(user.pk)}

    def asked(*said, ids):
        return chat(*said, headers=headers, file_ids=[str(pk) for pk in ids]).json()

    first = asked("When does it open?", ids=[document.pk])
    said = first["choices"][0]["message"]["content"]
    elsewhere = asked("When does it open?", said, "Why?", ids=[other.pk])
    there = asked("When does it open?", said, "Why?", ids=[document.pk])

    assert there["conversation_id"] == first["conversation_id"] != elsewhere["conversation_id"]


def test_a_conversation_that_is_being_answered_is_left_alone():
    first = chat("Hello").json()
    said = first["choices"][0]["message"]["content"]
    Conversation.objects.get(pk=first["conversation_id"]).ask("At the same time")

    response = chat("Hello", said, "More?")

    assert response.status_code == 200
    assert response.json()["conversation_id"] != first["conversation_id"]


def test_a_long_chat_is_kept_as_far_as_prompts_read_it():
    said = [f"message {n}" for n in range(351)]

    body = chat(*said).json()

    kept = Message.objects.filter(conversation=body["conversation_id"]).order_by("position")
    assert [one.content for one in kept][:-1] == said[200:]
    assert [one.position for one in kept] == list(range(len(kept)))


def test_without_documents_a_grounded_request_keeps_nothing(user):
    headers = {"X-User-ID": str(user.pk)}

    assert_error(chat(model=f"{MODEL}:documents", headers=headers), 409)
    assert not Conversation.objects.exists()


def test_a_file_that_is_not_read_yet_is_uploaded_not_processed(api, user):
    pending = make_pending(user)
    url = f"/openai/v1/files/{pending.pk}"

    assert api.get(url, headers={"X-User-ID": str(user.pk)}).json()["status"] == "uploaded"
    pending.mark_failed("unreadable", "The file cannot be read.")
    body = api.get(url, headers={"X-User-ID": str(user.pk)}).json()
    assert (body["status"], body["status_details"]) == ("error", "The file cannot be read.")


def test_an_upload_without_a_file_is_refused(api):
    assert_error(api.post("/openai/v1/files", {"purpose": "user_data"}), 400, "file")


@pytest.mark.parametrize(("wish", "status"), [("finish", "completed"), ("stop", "cancelled")])
def test_when_the_client_leaves_a_stream_the_answer_ends_as_is_set(
    user, groq, settings, wish, status
):
    settings.ON_DISCONNECT = wish
    groq.script(fake_groq.answer("one two three four five six", delay=0.05))
    opened = Conversation.objects.open(user=user, content="Hi", documents=[], model=MODEL)

    async def leave():
        answer = live.answers().start(Turn(*opened))
        chunks = Chunks(Head("x", 1, MODEL, "x"), "", with_usage=False).of(answer)
        await answer.first_words()
        await anext(chunks)
        await chunks.aclose()
        await answer.wait()

    async_to_sync(leave)()

    assert Message.objects.get(role="assistant").status == status


@pytest.mark.parametrize("stream", [True, False])
def test_the_answer_names_the_model_that_stood_in(groq, stream):
    groq.server.offered = fake_groq.ORDINARY

    response = chat(model="llama-3.3-70b-versatile", stream=stream)

    sent = response.sent.decode().split("\n\n") if stream else [response.content.decode()]
    bodies = [line.removeprefix("data: ") for line in sent]
    named = {json.loads(body)["model"] for body in bodies if body.startswith("{")}
    assert named == {"openai/gpt-oss-120b"}


def test_an_effort_that_the_model_does_not_have_is_refused(groq):
    error = assert_error(chat(reasoning_effort="none"), 400, "reasoning_effort")

    assert error["message"].endswith(f"{MODEL} takes one of: low, medium, high.")
    assert chat(model="qwen/qwen3.6-27b", reasoning_effort="none").status_code == 200


@pytest.mark.parametrize("reason", ["length", "content_filter", "stop"])
def test_an_answer_without_a_word_is_an_empty_choice(user, groq, reason):
    groq.script(*[fake_groq.answer("", finish_reason=reason)] * 2)

    whole = chat("Hello", user=str(user.pk)).json()
    streamed = chat("Hello", user=str(user.pk), stream=True, stream_options={"include_usage": True})

    [choice] = whole["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", reason)
    assert whole["usage"]["total_tokens"] == 120
    *chunks, done = streamed.sent.decode().strip().split("\n\n")
    *_, last, usage = [json.loads(chunk.removeprefix("data: ")) for chunk in chunks]
    assert done == "data: [DONE]"
    assert last["choices"][0]["finish_reason"] == reason
    assert usage["usage"]["total_tokens"] == 120
    assert UsageEntry.objects.count() == 2
    assert set(Message.objects.filter(role="assistant").values_list("status")) == {("failed",)}
