"""The real clients of OpenAI and Groq against the whole product, with only an address and a key."""

import os
import subprocess
import sys
import time
from uuid import uuid4

import groq as groq_sdk
import httpx
import openai
import pytest

from tests import fake_groq
from tests.fake_groq import FakeGroq
from tests.launch.test_launch import ROOT, environment, free_port, served

MODEL = "openai/gpt-oss-20b"
MUSEUM = b"The museum opens at nine and closes at five. On Mondays it is closed."


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """The address of a running product, its script, its data folder."""
    data_dir = tmp_path_factory.mktemp("product")
    port = free_port()
    with FakeGroq() as fake:
        model = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": fake.url, "GROQ_MAX_RETRIES": 0}
        with served(data_dir, port, **model):
            yield f"http://127.0.0.1:{port}", fake, data_dir


@pytest.fixture
def upstream(product):
    """The scripted model, with nothing left of the tests before."""
    fake = product[1]
    fake.server.replies.clear()
    fake.received.clear()
    return fake


@pytest.fixture
def client(product):
    """A new user each time."""
    return client_of(product, {"X-User-ID": str(uuid4())})


def client_of(product, headers=None, key="not-needed"):
    return openai.OpenAI(
        base_url=f"{product[0]}/openai/v1", api_key=key, default_headers=headers, max_retries=0
    )


@pytest.fixture
def groq_client(product):
    return groq_sdk.Groq(
        base_url=product[0],
        api_key="not-needed",
        default_headers={"X-User-ID": str(uuid4())},
        max_retries=0,
    )


def ask(client, *said, **options):
    """Roles take turns, the user's last."""
    roles = ["assistant", "user"]
    messages = [
        {"role": roles[(len(said) - place) % 2], "content": text} for place, text in enumerate(said)
    ]
    options = {"model": MODEL, "messages": messages, **options}
    return client.chat.completions.create(**options)


def uploaded(client, content=MUSEUM, name="museum.txt"):
    file = client.files.create(file=(name, content), purpose="user_data")
    return client.files.wait_for_processing(file.id, poll_interval=0.1)


def test_an_answer_comes_whole(client, upstream):
    upstream.script(fake_groq.answer("Every four years, mostly."))

    completion = ask(client, "How often is a leap year?")

    assert completion.object == "chat.completion"
    assert completion.id.startswith("chatcmpl-")
    assert completion.model == MODEL
    [choice] = completion.choices
    assert (choice.message.role, choice.finish_reason) == ("assistant", "stop")
    assert choice.message.content == "Every four years, mostly."
    assert choice.message.annotations == []
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (100, 20, 120)
    assert usage.prompt_tokens_details.cached_tokens == 64
    assert time.time() - completion.created < 60


def test_an_answer_streams_while_the_model_speaks(client, upstream):
    upstream.script(fake_groq.answer("one two three four five", delay=0.2))
    times, chunks = [], []

    for chunk in ask(client, "Count", stream=True):
        times.append(time.monotonic())
        chunks.append(chunk)

    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == "one two three four five"
    assert times[-1] - times[0] > 0.6
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_ends_with_the_usage_where_it_is_wanted(client, upstream):
    *before, last = ask(client, "Hi", stream=True, stream_options={"include_usage": True})

    assert last.choices == []
    assert last.usage.total_tokens == 120
    assert [chunk.usage for chunk in before] == [None] * len(before)


def test_sampling_reaches_the_model(client, upstream):
    ask(
        client,
        "Hi",
        temperature=0.3,
        top_p=0.9,
        max_tokens=50,
        stop="END",
        seed=7,
        reasoning_effort="low",
    )

    body = upstream.received[-1].body
    assert (body["temperature"], body["top_p"], body["seed"]) == (0.3, 0.9, 7)
    assert (body["max_completion_tokens"], body["stop"]) == (50, ["END"])
    assert body["reasoning_effort"] == "low"


def test_what_was_said_and_the_instructions_reach_the_model(client, upstream):
    messages = [
        {"role": "system", "content": "Speak like a pirate."},
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Ahoy, Ada."},
        {"role": "user", "content": [{"type": "text", "text": "What is my name?"}]},
    ]

    ask(client, messages=messages)

    system, *said = upstream.received[-1].body["messages"]
    assert "Speak like a pirate." in system["content"]
    assert [(one["role"], one["content"]) for one in said] == [
        ("user", "My name is Ada."),
        ("assistant", "Ahoy, Ada."),
        ("user", "What is my name?"),
    ]


@pytest.mark.parametrize("named", ["documents", "objects", "file_ids", "part", "model"])
def test_a_file_grounds_the_answer(client, upstream, named):
    file = uploaded(client)
    assert (file.status, file.filename, file.bytes) == ("processed", "museum.txt", len(MUSEUM))
    upstream.script(fake_groq.answer("At nine [1], and not on Mondays [1]."))
    question = "When does the museum open?"
    part = {"type": "file", "file": {"file_id": file.id}}
    ways = {
        "documents": {"extra_body": {"documents": [file.id]}},
        "objects": {"extra_body": {"documents": [{"id": file.id}]}},
        "file_ids": {"extra_body": {"file_ids": [file.id]}},
        "model": {"model": f"{MODEL}:documents"},
        "part": {
            "messages": [{"role": "user", "content": [part, {"type": "text", "text": question}]}]
        },
    }

    completion = ask(client, question, **ways[named])

    assert MUSEUM.decode() in upstream.received[-1].body["messages"][-1]["content"]
    message = completion.choices[0].message
    assert message.content == "At nine [1], and not on Mondays [1]."
    first, second = message.annotations
    for annotation in (first, second):
        place = annotation.url_citation
        assert message.content[place.start_index : place.end_index] == "[1]"
        assert place.title == "museum.txt, page 1"
    assert first.url_citation.start_index < second.url_citation.start_index
    cited = first.file_citation
    assert (cited["file_id"], cited["filename"], cited["page"]) == (file.id, "museum.txt", 1)
    assert cited["verified"]
    assert cited["quote"] in MUSEUM.decode()
    assert httpx.get(first.url_citation.url).json()["quote"] == cited["quote"]


def test_a_grounded_stream_has_its_annotations_at_the_end(client, upstream):
    file = uploaded(client)
    upstream.script(fake_groq.answer("At nine [1]."))

    *_, last = ask(
        client, "When does the museum open?", stream=True, extra_body={"file_ids": [file.id]}
    )

    [annotation] = last.choices[0].delta.annotations
    assert annotation["file_citation"]["file_id"] == file.id
    assert annotation["url_citation"]["start_index"] == len("At nine ")


def test_a_chat_goes_on_in_one_conversation(product, client, upstream):
    upstream.script(fake_groq.answer("One."), fake_groq.answer("Two."), fake_groq.answer("Other."))

    first = ask(client, "Count")
    second = ask(client, "Count", "One.", "Go on")
    elsewhere = ask(client, "Count", "Eleven.", "Go on")

    assert first.conversation_id == second.conversation_id != elsewhere.conversation_id
    kept = client.get(
        f"/../../api/v1/conversations/{first.conversation_id}", cast_to=httpx.Response
    )
    assert [one["content"] for one in kept.json()["messages"]] == ["Count", "One.", "Go on", "Two."]


def test_models_are_listed_each_by_itself_and_with_documents(client):
    names = [model.id for model in client.models.list()]

    assert MODEL in names
    assert f"{MODEL}:documents" in names
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_files_are_listed_in_pages_read_and_deleted(client):
    ids = [uploaded(client, f"Text {n}.".encode(), f"{n}.txt").id for n in range(3)]

    assert [file.id for file in client.files.list(limit=2)] == ids[::-1]
    assert [file.id for file in client.files.list(order="asc")] == ids
    assert [file.id for file in client.files.list(purpose="assistants")] == ids[::-1]
    with pytest.raises(openai.BadRequestError, match="purpose"):  # rather than every file
        client.files.list(purpose="batch")
    assert client.files.content(ids[0]).read() == b"Text 0."
    assert client.files.delete(ids[0]).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(ids[0])


def test_a_file_of_another_user_is_not_there(product, client):
    theirs = uploaded(client_of(product, {"X-User-ID": str(uuid4())}))

    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            call(theirs.id)
    with pytest.raises(openai.NotFoundError) as told:
        ask(client, "When?", extra_body={"file_ids": [theirs.id]})
    assert told.value.code == "file_not_found"
    assert client.files.list().data == []


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as told:
        ask(client, "Hi", model="gpt-9")

    assert (told.value.code, told.value.param) == ("model_not_found", "model")
    assert "gpt-9" in told.value.body["message"]


def test_a_wrong_key_is_refused(product):
    with pytest.raises(openai.AuthenticationError) as told:
        ask(client_of(product, key="bot_wrong"), "Hi")

    assert told.value.code == "invalid_api_key"


def test_a_users_key_acts_for_its_owner(product, client, upstream):
    user = str(uuid4())
    made = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "createkey", "shop", "--user", user],
        env=environment(product[2], PATH=os.environ["PATH"]),
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = client_of(product, key=made.stdout.strip())

    file = uploaded(theirs)

    assert client_of(product, {"X-User-ID": user}).files.retrieve(file.id).id == file.id
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_the_model_is_an_error_of_the_call(client, upstream, stream):
    upstream.script(fake_groq.error(429, {"Retry-After": "7"}))

    with pytest.raises(openai.RateLimitError) as told:
        ask(client, "Hi", stream=stream)

    assert told.value.code == "model_rate_limited"
    assert told.value.response.headers["Retry-After"] == "7"


@pytest.mark.parametrize("which", ["client", "groq_client"])
def test_an_error_in_mid_stream_is_raised_there(request, upstream, which):
    upstream.script(fake_groq.cut(2))
    kind = openai.APIError if which == "client" else groq_sdk.APIError
    stream = ask(request.getfixturevalue(which), "Hi", stream=True)
    said = []

    with pytest.raises(kind, match="broken off") as told:
        said.extend(chunk.choices[0].delta.content for chunk in stream)

    assert told.value.body["code"] == "model_bad_answer"
    assert "".join(said) == "word0 word1 "


@pytest.mark.parametrize("which", ["client", "groq_client"])
def test_an_answer_without_a_word_is_an_empty_choice_to_clients(request, upstream, which):
    ours = request.getfixturevalue(which)
    upstream.script(fake_groq.thoughts_alone(), fake_groq.thoughts_alone())

    whole = ask(ours, "Hi")
    *_, last = ask(ours, "Hi", stream=True)

    assert whole.choices[0].message.content == ""
    assert [one.choices[0].finish_reason for one in (whole, last)] == ["length", "length"]
    assert whole.usage.completion_tokens == 1_900
    assert len(upstream.received) == 2, "a client that tries again pays again"


def test_groqs_client_is_answered_whole_and_streamed(groq_client, upstream):
    upstream.script(fake_groq.answer("Whole."), fake_groq.answer("In pieces."))

    whole = ask(groq_client, "Hi")
    chunks = list(ask(groq_client, "Hi", stream=True))

    assert whole.choices[0].message.content == "Whole."
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "In pieces."
    assert chunks[-1].x_groq.usage.total_tokens == 120
    assert MODEL in [model.id for model in groq_client.models.list().data]


def test_groqs_client_names_documents(groq_client, upstream):
    file = groq_client.files.create(file=("museum.txt", MUSEUM), purpose="batch")
    upstream.script(fake_groq.answer("At nine [1]."))

    # At once: the question waits until the file is read.
    completion = ask(groq_client, "When does the museum open?", documents=[{"id": file.id}])

    [annotation] = completion.choices[0].message.annotations
    assert (annotation.type, annotation.file_citation["file_id"]) == ("url_citation", file.id)
