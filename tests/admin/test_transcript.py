"""The transcript of a conversation in the admin."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations import transcript
from conversations.models import Conversation, Message
from tests import fake_groq
from tests.factories import complete, make_conversation, post

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(user):
    return make_conversation(user)


def read(admin_client, conversation, query=""):
    path = f"/admin/conversations/conversation/{conversation.pk}/change/{query}"
    response = admin_client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def articles(html):
    """The text of each message shown, by its id."""
    found = re.findall(r'<article id="message-([\w-]+)"(.*?)</article>', html, re.DOTALL)
    return {pk: " ".join(re.sub(r"<[^>]*>", " ", text).split()) for pk, text in found}


def regenerated(conversation):
    """The former and the newer answer to the same question."""
    former = conversation.messages.get(role="assistant")
    _, newer = conversation.regenerate(former.pk)
    complete(newer, "Good day.")
    return former, newer


def test_the_active_path_is_shown_and_leads_to_the_other_branches(admin_client, conversation):
    former, newer = regenerated(conversation)

    html = read(admin_client, conversation)

    shown = articles(html)
    assert str(former.pk) not in shown
    assert "branch 2 of 2 &middot; 1" in shown[str(newer.pk)]
    assert f'<a href="?branches=all#message-{former.pk}">1</a>' in html
    assert '<a href="?branches=all">Every branch</a>' in html


def test_every_branch_is_shown_whole_when_asked(admin_client, conversation):
    former, newer = regenerated(conversation)
    _, after = conversation.ask("And then?")
    complete(after, "That.")
    conversation.activate(former.pk)

    html = read(admin_client, conversation, "?branches=all")

    shown = articles(html)
    assert list(shown) == [
        str(row.pk) for row in (former.parent, former, newer, after.parent, after)
    ]
    assert "of 2, shown" in shown[str(former.pk)]
    assert "of 2, shown" not in shown[str(newer.pk)]
    assert f'<a href="#message-{newer.pk}">2</a>' in html
    levels = re.findall(r'<article id="message-[\w-]+" class="message [\w ]+?( level-1)?">', html)
    assert [bool(level) for level in levels] == [False, True, True, True, True]


@pytest.mark.parametrize("status", ["cancelled", "interrupted", "failed"])
def test_how_an_answer_ended_is_told(admin_client, conversation, status):
    answers = conversation.messages.filter(role="assistant")
    answers.update(status=status)

    [_, shown] = articles(read(admin_client, conversation)).values()
    assert status.capitalize() in shown


def test_an_answer_that_reached_its_limit_says_so(admin_client, conversation):
    conversation.messages.filter(role="assistant").update(finish_reason="length")

    [_, shown] = articles(read(admin_client, conversation)).values()
    assert "ended by length" in shown


def test_model_options_and_cached_tokens_are_told(admin_client, api, conversation, groq):
    path = f"/conversations/{conversation.pk}/messages"
    post(api, path, {"content": "And now?", "temperature": 0.25, "model": "openai/gpt-oss-20b"})

    *_, shown = articles(read(admin_client, conversation)).values()
    assert "openai/gpt-oss-20b" in shown
    assert "temperature 0.25" in shown
    assert "100 (64 cached) + 20 tokens" in shown


def test_the_model_that_stood_in_is_told_with_the_wanted_one(
    admin_client, api, conversation, groq, settings
):
    settings.GROQ_FALLBACK_MODELS = ["openai/gpt-oss-20b"]
    groq.script(fake_groq.error(503))
    path = f"/conversations/{conversation.pk}/messages"
    post(api, path, {"content": "And now?", "model": "llama-3.1-8b-instant"})

    *_, shown = articles(read(admin_client, conversation)).values()
    assert "openai/gpt-oss-20b wanted llama-3.1-8b-instant" in shown


def test_the_receipt_tells_what_the_prompt_held_and_left_out(
    admin_client, api, conversation, groq, settings
):
    settings.CONTEXT_TOKENS, settings.ANSWER_TOKENS = 1200, 200
    path = f"/conversations/{conversation.pk}/messages"
    post(api, path, {"content": "word " * 700})
    receipt = post(api, path, {"content": "And now?"}).json()["answer"]["context"]

    html = read(admin_client, conversation)

    *_, shown = articles(html).values()
    assert f"Prompt: {receipt['total']} of 1000 tokens, 200 kept for the answer" in shown
    history = receipt["history"]
    counts = f"{history['tokens']} {history['kept']} {history['left_out']}"
    assert f"history {counts} over_budget" in shown
    assert f"question {receipt['question']['tokens']} 1 0" in shown


def test_the_summary_stands_where_it_ends(admin_client, conversation):
    _, second = conversation.messages.shown()
    complete(conversation.ask("And then?")[1], "That.")
    Conversation.objects.filter(pk=conversation.pk).update(
        summary="They greeted <b>each other</b>.", summarised_through=second.pk
    )

    html = read(admin_client, conversation)

    order = ["Hello.", "summarised", "They greeted &lt;b&gt;each other&lt;/b&gt;.", "And then?"]
    places = [html.index(text) for text in order]
    assert places == sorted(places)


def test_what_people_and_models_wrote_is_shown_as_text(admin_client, conversation):
    evil = "<script>alert(1)</script>"
    section = {"tokens": evil, "kept": evil, "left_out": evil, "reason": evil}
    regenerated(conversation)
    Conversation.objects.update(summary=evil, sampling={"stop": [evil]}, fallback_models=[evil])
    Message.objects.update(
        sampling={"stop": [evil], evil: 1},
        finish_reason=evil[:20],
        model=evil,
        content=evil,
        context={"total": evil, "budget": evil, "history": section},
    )
    last = conversation.messages.shown().last()
    Conversation.objects.update(summarised_through=last.pk)

    for query in ("", "?branches=all"):
        html = read(admin_client, conversation, query)
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert(1)" in html


@pytest.mark.parametrize("query", ["", "?branches=all"])
def test_a_transcript_costs_the_same_queries_however_long(admin_client, conversation, query):
    def cost():
        with CaptureQueriesContext(connection) as queries:
            read(admin_client, conversation, query)
        return len(queries)

    regenerated(conversation)
    short = cost()
    for _ in range(10):
        complete(conversation.ask("Again?")[1], "Yes.")
        regenerated_last(conversation)

    assert cost() == short


def regenerated_last(conversation):
    last = conversation.messages.shown().last()
    complete(conversation.regenerate(last.pk)[1], "Or no.")


@pytest.mark.parametrize(("query", "left_out"), [("", 1), ("?branches=all", 2)])
def test_of_a_long_one_the_end_is_shown(admin_client, conversation, monkeypatch, query, left_out):
    monkeypatch.setattr(transcript, "MESSAGES_SHOWN", 3)
    regenerated(conversation)
    complete(conversation.ask("And then?")[1], "That.")

    html = read(admin_client, conversation, query)

    assert f"{left_out} earlier messages are not shown." in html
    assert len(articles(html)) == 3
