"""Options of answers: of a conversation, and of one answer alone."""

import pytest

from conversations.models import Conversation, Message
from tests.factories import assert_problem, call, get, make_conversation, patch, post

pytestmark = pytest.mark.django_db

REASONING = "openai/gpt-oss-20b"
ALL = {
    "temperature": 0.25,
    "top_p": 0.5,
    "max_completion_tokens": 77,
    "stop": ["END", "\n\n"],
    "seed": 7,
    "reasoning_effort": "low",
}
# Each value is just outside of what is taken.
WRONG = [
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": "warm"}, "temperature"),
    ({"top_p": -0.1}, "top_p"),
    ({"top_p": 1.1}, "top_p"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"max_completion_tokens": 131_073}, "max_completion_tokens"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"stop": [""]}, "stop"),
    ({"stop": ["x" * 201]}, "stop"),
    ({"stop": [1]}, "stop"),
    ({"stop": {"a": "b"}}, "stop"),
    ({"seed": 2**63}, "seed"),
    ({"seed": -(2**63) - 1}, "seed"),
    ({"seed": "x"}, "seed"),
    ({"reasoning_effort": "most"}, "reasoning_effort"),
    ({"temprature": 1}, "temprature"),
]


@pytest.fixture
def conversation(user):
    return make_conversation(user)


def create(api, user_id, **body):
    body = {"user_id": str(user_id), "first_message": "Hi", **body}
    return post(api, "/conversations", body)


def ask(api, conversation, **body):
    path = f"/conversations/{conversation.pk}/messages"
    return post(api, path, {"content": "And now?", **body})


def change(api, conversation, **body):
    return patch(api, f"/conversations/{conversation.pk}", body)


def chosen(body):
    """The options that are set, of a conversation or message as the API shows it."""
    assert body["sampling"].keys() == ALL.keys()
    return {name: value for name, value in body["sampling"].items() if value is not None}


def sent(groq):
    """The options that the model was last asked with."""
    return {name: value for name, value in groq.received[-1].body.items() if name in ALL}


def test_the_options_of_a_conversation_reach_the_model_at_every_turn(api, user_id, groq):
    created = create(api, user_id, model=REASONING, **ALL)

    assert created.status_code == 201
    assert created.json()["sampling"] == created.json()["answer"]["sampling"] == ALL
    assert sent(groq) == ALL
    ask(api, Conversation.objects.get())
    assert sent(groq) == ALL


def test_the_options_of_a_message_are_for_its_answer_alone(api, conversation, groq):
    change(api, conversation, temperature=0.1, seed=1)

    answer = ask(api, conversation, temperature=1.5, top_p=0.9).json()["answer"]

    assert sent(groq) | {"max_completion_tokens": 0} == {
        "temperature": 1.5,
        "top_p": 0.9,
        "seed": 1,
        "max_completion_tokens": 0,
    }
    assert chosen(answer) == {"temperature": 1.5, "top_p": 0.9, "seed": 1}
    ask(api, conversation)
    assert (sent(groq)["temperature"], sent(groq).get("top_p")) == (0.1, None)


@pytest.mark.parametrize("stream", [True, False])
def test_options_reach_the_model_in_a_stream_too(api, conversation, groq, stream):
    ask(api, conversation, stream=stream, temperature=0)

    assert sent(groq)["temperature"] == 0


def test_without_options_the_model_has_its_own(api, conversation, groq, settings):
    ask(api, conversation)

    assert sent(groq) == {"max_completion_tokens": settings.ANSWER_TOKENS}


def test_the_limit_of_the_server_holds_too(api, conversation, groq, settings):
    ask(api, conversation, max_completion_tokens=settings.ANSWER_TOKENS + 1)

    assert sent(groq)["max_completion_tokens"] == settings.ANSWER_TOKENS


def test_only_a_model_that_reasons_is_told_how_long(api, conversation, groq):
    ask(api, conversation, reasoning_effort="high", model="llama-3.3-70b-versatile")
    assert "reasoning_effort" not in sent(groq)

    ask(api, conversation, reasoning_effort="high", model=REASONING)
    assert sent(groq)["reasoning_effort"] == "high"


def test_one_stop_may_be_given_alone(api, conversation, groq):
    answer = ask(api, conversation, stop="END").json()["answer"]

    assert sent(groq)["stop"] == answer["sampling"]["stop"] == ["END"]


def test_a_change_keeps_the_options_it_leaves_out_and_null_resets(api, conversation, groq):
    change(api, conversation, temperature=0.1, seed=1, stop=["END"])
    body = change(api, conversation, temperature=None, seed=2, title="New").json()

    assert chosen(body) == {"seed": 2, "stop": ["END"]}
    ask(api, conversation)
    assert "temperature" not in sent(groq)
    assert chosen(get(api, f"/conversations/{conversation.pk}").json()) == chosen(body)


def test_null_is_as_if_left_out_of_a_message(api, conversation, groq):
    change(api, conversation, temperature=0.1)

    assert ask(api, conversation, temperature=None, seed=None).status_code == 201
    assert sent(groq)["temperature"] == 0.1


def test_an_answer_given_again_has_the_options_of_its_conversation(api, conversation, groq):
    answer = ask(api, conversation, temperature=1.5).json()["answer"]
    change(api, conversation, temperature=0.1)

    post(api, f"/conversations/{conversation.pk}/messages/{answer['id']}/regenerate", {"seed": 3})

    assert (sent(groq)["temperature"], sent(groq)["seed"]) == (0.1, 3)


def test_the_model_of_one_answer_is_not_the_conversations(api, conversation, groq):
    answer = ask(api, conversation, model=REASONING).json()["answer"]

    assert groq.received[-1].body["model"] == answer["model"] == REASONING
    ask(api, conversation)
    assert groq.received[-1].body["model"] == conversation.model


@pytest.mark.parametrize(("wrong", "field"), WRONG)
def test_what_is_out_of_range_is_refused_by_name(api, user_id, conversation, groq, wrong, field):
    responses = [
        create(api, user_id, **wrong),
        ask(api, conversation, **wrong),
        change(api, conversation, **wrong),
    ]

    for response in responses:
        [named] = assert_problem(response, 400)["errors"]
        assert named.split(".")[0] == field
    assert groq.received == []
    assert Message.objects.count() == 2


@pytest.mark.parametrize("number", ["NaN", '"NaN"', "Infinity", "true", "1e999", "1" * 400])
@pytest.mark.parametrize("field", ["temperature", "top_p"])
def test_what_is_no_number_is_refused(api, conversation, number, field):
    body = f'{{"content": "Hi", "{field}": {number}}}'

    path = f"/conversations/{conversation.pk}/messages"
    assert_problem(call(api, "POST", path, body), 400)
    assert Message.objects.count() == 2


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0, "top_p": 0},
        {"temperature": 2, "top_p": 1},
        {"max_completion_tokens": 1, "seed": -(2**63)},
        {"max_completion_tokens": 131_072, "seed": 2**63 - 1},
        {"stop": ["a", "b", "c", "d"]},
        {"stop": []},
    ],
)
def test_the_ends_of_the_ranges_are_taken(api, conversation, groq, options):
    assert chosen(ask(api, conversation, **options).json()["answer"]) == options


QWEN = "qwen/qwen3.8-27b"


def refused(response):
    """What a refusal says of the effort."""
    return assert_problem(response, 400)["errors"]["reasoning_effort"]


@pytest.mark.parametrize(
    ("model", "efforts"),
    [(REASONING, ["low", "medium", "high"]), (QWEN, ["none", "default"])],
)
def test_each_model_takes_its_own_efforts(api, user_id, conversation, groq, model, efforts):
    for effort in ["none", "default", "low", "medium", "high"]:
        options = {"model": model, "reasoning_effort": effort}
        if effort in efforts:
            assert create(api, user_id, **options).status_code == 201
            assert ask(api, conversation, **options).status_code == 201
            assert sent(groq)["reasoning_effort"] == effort
            assert change(api, conversation, **options).status_code == 200
        else:
            for call in (create(api, user_id, **options), ask(api, conversation, **options)):
                assert refused(call) == [f"{model} takes one of: {', '.join(efforts)}."]
            assert refused(change(api, conversation, **options))


def test_an_effort_is_held_against_the_model_of_the_conversation(api, user, groq):
    qwen = make_conversation(user, model=QWEN)

    assert refused(ask(api, qwen, reasoning_effort="low"))
    assert refused(change(api, qwen, reasoning_effort="low"))
    assert refused(
        post(api, f"/conversations/{qwen.pk}/context", {"content": "?", "reasoning_effort": "low"})
    )
    assert ask(api, qwen, reasoning_effort="low", model=REASONING).status_code == 201
    assert groq.received[-1].body["reasoning_effort"] == "low"


def test_an_effort_of_the_conversation_becomes_what_another_model_has(api, conversation, groq):
    change(api, conversation, reasoning_effort="low")

    assert ask(api, conversation, model=QWEN).status_code == 201
    assert sent(groq)["reasoning_effort"] == "none"
