"""GET /conversations/{id}/export"""

import json
from uuid import uuid4

import pytest

from conversations import export
from conversations.models import Citation, Conversation, Feedback
from tests.factories import assert_problem, call, complete, get, make_conversation, make_user, post

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(user):
    return make_conversation(user, title="A talk")


def download(api, conversation, query="", **headers):
    response = call(api, "GET", f"/conversations/{conversation.pk}/export{query}", **headers)
    assert response.status_code == 200, response.content
    return response


def as_json(api, conversation, query=""):
    return json.loads(download(api, conversation, query).sent)


def as_markdown(api, conversation, query=""):
    return download(api, conversation, f"?format=markdown{query}").sent.decode()


def branched(conversation):
    """Question, answer; question, two answers, of which the second goes on."""
    question, former = conversation.ask("Which?")
    complete(former, "This one.")
    _, newer = conversation.regenerate(former.pk)
    complete(newer, "That one.")
    complete(conversation.ask("Why?")[1], "Because.")
    return question, former, newer


def test_json_holds_what_the_api_shows(api, user, document, groq):
    grounded = make_conversation(user, mode="grounded_rag", documents=[document])
    body = {"content": "What does a ticket cost?"}
    answer = post(api, f"/conversations/{grounded.pk}/messages", body).json()["answer"]
    Feedback.objects.create(message_id=answer["id"], rating="up")

    response = download(api, grounded)

    assert response.headers["Content-Type"] == "application/json"
    exported = json.loads(response.sent)
    assert exported == get(api, f"/conversations/{grounded.pk}").json()
    last = exported["messages"][-1]
    assert last["citations"][0]["document_name"] == "museum.txt"
    assert last["usage"]["completion_tokens"] == 20
    assert last["feedback"]["rating"] == "up"
    assert last["retrieval"]["query"] == "What does a ticket cost?"


def test_markdown_reads_as_a_conversation(api, user, document, groq):
    grounded = make_conversation(
        user, title="Prices\n# and more", mode="grounded_rag", documents=[document]
    )
    post(api, f"/conversations/{grounded.pk}/messages", {"content": "What does a *ticket* cost?"})

    response = download(api, grounded, "?format=markdown")

    assert response.headers["Content-Type"] == "text/markdown; charset=utf-8"
    text = response.sent.decode()
    order = [
        "# Prices # and more\n",
        "- Documents: museum.txt\n",
        "## User\n",
        "Hello there\n",
        "## Assistant\n",
        "Hello.\n",
        "What does a *ticket* cost?\n",
        "You asked: What does a *ticket* cost? [1]\n",
        "\n1. museum.txt, page 1: “",
        "A ticket costs 14.50 euros.",
    ]
    places = [text.find(part) for part in order]
    assert -1 not in places
    assert places == sorted(places)
    assert f"_{grounded.created_at:%Y-%m-%d %H:%M} UTC_" in text


def test_the_accept_header_chooses_too(api, conversation):
    response = download(api, conversation, Accept="text/markdown")

    assert response.sent.startswith(b"# A talk\n")
    kept = download(api, conversation, "?format=json", Accept="text/markdown")
    assert json.loads(kept.sent)["title"] == "A talk"


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("A talk", 'attachment; filename="A talk.json"'),
        ('../../etc/"passwd"\r\nX: y', 'attachment; filename="etc passwd X y.json"'),
        ("…", 'attachment; filename="conversation.json"'),
        ("Zürich", "attachment; filename*=utf-8''Z%C3%BCrich.json"),
        ("x" * 200, f'attachment; filename="{"x" * 80}.json"'),
    ],
)
def test_it_is_a_download_with_a_safe_name(api, conversation, title, name):
    Conversation.objects.filter(pk=conversation.pk).update(title=title)

    response = download(api, conversation)

    assert response.headers["Content-Disposition"] == name
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_the_active_path_is_told_or_every_branch(api, conversation):
    branched(conversation)

    shown = [one["content"] for one in as_json(api, conversation)["messages"]]
    everything = [one["content"] for one in as_json(api, conversation, "?branches=all")["messages"]]

    start = ["Hello there", "Hello.", "Which?"]
    assert shown == [*start, "That one.", "Why?", "Because."]
    assert everything == [*start, "This one.", "That one.", "Why?", "Because."]


def test_markdown_names_the_branches(api, conversation):
    branched(conversation)

    text = as_markdown(api, conversation, "&branches=all")

    assert text.count("(branch") == 2
    former, newer = text.index("(branch 1 of 2)"), text.index("(branch 2 of 2, shown)")
    assert former < text.index("This one.") < newer < text.index("That one.")


def test_each_branch_is_told_whole_before_the_next(api, conversation):
    first, _ = conversation.messages.shown()
    complete(conversation.ask("And so?")[1], "So.")
    complete(conversation.edit(first.pk, "Good day")[1], "Good day to you.")

    told = [one["content"] for one in as_json(api, conversation, "?branches=all")["messages"]]

    assert told == ["Hello there", "Hello.", "And so?", "So.", "Good day", "Good day to you."]


@pytest.mark.parametrize(
    ("status", "error", "note"),
    [
        ("failed", "The model is over capacity.", "failed: The model is over capacity."),
        ("cancelled", "", "stopped by the user"),
        ("interrupted", "The server stopped.", "interrupted: The server stopped."),
    ],
)
def test_markdown_tells_of_answers_that_were_broken_off(api, conversation, status, error, note):
    answers = conversation.messages.filter(role="assistant")
    answers.update(status=status, error=error, error_code="x" if error else "")

    text = as_markdown(api, conversation)

    assert "Hello.\n" in text
    assert note in text


def test_an_answer_that_nobody_gives_any_longer_is_told_as_interrupted(api, conversation):
    conversation.messages.filter(role="assistant").update(status="pending", started_at=None)

    assert as_json(api, conversation)["messages"][1]["status"] == "interrupted"


def test_a_conversation_without_messages_is_whole(api, conversation):
    conversation.messages.all().delete()

    assert as_json(api, conversation)["messages"] == []
    assert as_markdown(api, conversation).startswith("# A talk\n")


def test_a_long_conversation_is_told_in_chunks(
    api, conversation, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr(export, "CHUNK", 4)
    for number in range(4):
        _, answer = conversation.ask(f"Question {number}")
        complete(answer, "Yes [1].", [citation(answer)])

    # The conversation, its documents, the order, the audit trail; then two a chunk.
    with django_assert_num_queries(4 + 3 * 2):
        messages = as_json(api, conversation)["messages"]

    assert [one["content"] for one in messages[2::2]] == [f"Question {n}" for n in range(4)]


def citation(answer):
    return Citation(
        message=answer,
        number=1,
        chunk_id=uuid4(),
        document_name="gone.txt",
        page=1,
        char_start=0,
        char_end=3,
        quote="Yes",
        score=1,
    )


def test_what_is_deleted_meanwhile_is_left_out(conversation):
    ids = export.order(conversation, every_branch=False)
    conversation.delete_message(ids[0])

    text = "".join(export.as_markdown(conversation, ids))

    assert "Hello there" not in text
    assert "Hello." in text


@pytest.mark.parametrize("query", ["?format=pdf", "?branches=some", "?format=json&format=markdown"])
def test_wrong_exports_are_refused(api, conversation, query):
    assert_problem(call(api, "GET", f"/conversations/{conversation.pk}/export{query}"), 400)


def test_anothers_conversation_is_not_found(api, conversation):
    other = f"/conversations/{conversation.pk}/export?user_id={make_user().pk}"
    assert_problem(call(api, "GET", other), 404)
    assert_problem(call(api, "GET", f"/conversations/{uuid4()}/export"), 404)
