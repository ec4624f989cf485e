"""The transcript of a conversation in the admin."""

import re
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, reverse

from conversations import live, transcript
from conversations.models import Citation, Conversation, Message
from conversations.models.conversation import Asking
from tests import fake_groq
from tests.factories import complete, make_conversation, make_document, post

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
    assert f'<a href="?branches=all&amp;message={former.pk}#message-{former.pk}">1</a>' in html
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
    assert f'message={newer.pk}#message-{newer.pk}">2</a>' in html
    levels = re.findall(r'<article id="message-[\w-]+" class="message [\w ]+?( level-1)?">', html)
    assert [bool(level) for level in levels] == [False, True, True, True, True]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("cancelled", "stopped by the user"),
        ("interrupted", "interrupted: the server stopped"),
        ("failed", "failed"),
    ],
)
def test_how_an_answer_ended_is_told(admin_client, conversation, status, told):
    answers = conversation.messages.filter(role="assistant")
    answers.update(status=status)

    [_, shown] = articles(read(admin_client, conversation)).values()
    assert told in shown


def test_an_answer_that_reached_its_limit_says_so(admin_client, conversation):
    conversation.messages.filter(role="assistant").update(finish_reason="length")

    [_, shown] = articles(read(admin_client, conversation)).values()
    assert "Cut off: it reached its limit of tokens." in shown


def test_model_options_and_cached_tokens_are_told(admin_client, api, conversation, groq):
    path = f"/conversations/{conversation.pk}/messages"
    post(api, path, {"content": "And now?", "temperature": 0.25, "model": "openai/gpt-oss-20b"})

    *_, shown = articles(read(admin_client, conversation)).values()
    assert "Model openai/gpt-oss-20b" in shown
    assert "stood in" not in shown
    assert "temperature 0.25" in shown
    assert "Tokens 100 prompt (64 cached) + 20 answer" in shown
    answer = conversation.messages.last()
    assert f"Cost ${answer.cost_usd}" in shown
    assert f"First words after {answer.first_token_ms} ms" in shown
    assert f"Whole answer after {answer.duration_ms} ms" in shown
    assert answer.first_token_ms <= answer.duration_ms


def test_the_model_that_stood_in_is_told_with_the_wanted_one(
    admin_client, api, conversation, groq, settings
):
    settings.GROQ_FALLBACK_MODELS = ["openai/gpt-oss-20b"]
    groq.script(fake_groq.error(503))
    path = f"/conversations/{conversation.pk}/messages"
    post(api, path, {"content": "And now?", "model": "openai/gpt-oss-120b"})

    *_, shown = articles(read(admin_client, conversation)).values()
    assert "openai/gpt-oss-20b stood in for openai/gpt-oss-120b" in shown


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

    said = "1 earlier message is" if left_out == 1 else f"{left_out} earlier messages are"
    assert f"{said} not shown." in html
    assert len(articles(html)) == 3
    back = re.search(r'<a href="(\?until=[^"]*)">Earlier messages', html)
    assert back
    before = read(admin_client, conversation, back[1].replace("&amp;", "&"))
    assert len(articles(before)) == left_out
    assert "3 later messages are not shown." in before


def test_a_message_is_found_in_the_midst_of_a_long_conversation(
    admin_client, conversation, monkeypatch
):
    monkeypatch.setattr(transcript, "MESSAGES_SHOWN", 2)
    former, _ = regenerated(conversation)
    for _ in range(3):
        complete(conversation.ask("And then?")[1], "That.")
    wanted = conversation.messages.shown()[3]

    shown = articles(read(admin_client, conversation, f"?message={wanted.pk}"))
    assert str(wanted.pk) in shown
    assert len(shown) == 2
    aside = articles(read(admin_client, conversation, f"?branches=all&message={former.pk}"))
    assert str(former.pk) in aside


@pytest.mark.parametrize(
    "query",
    ["?until=-1", "?until=x", "?until=٣", f"?until={'9' * 99}", "?message=x", "?branches=x"],
)
def test_an_address_that_means_nothing_shows_the_end(admin_client, conversation, query):
    assert len(articles(read(admin_client, conversation, query))) == 2


def test_the_words_of_an_answer_under_way_are_shown(admin_client, conversation):
    _, answer = conversation.ask("And then?", Asking(process=live.sign_of_life()))
    answer.streamed.create(start=0, text="Once ")
    answer.streamed.create(start=5, text="upon")

    html = read(admin_client, conversation)

    shown = articles(html)[str(answer.pk)]
    assert "being answered now" in shown
    assert "Once upon The answer so far. Look again" in shown


def test_an_answer_whose_process_is_gone_is_no_longer_told_to_come(admin_client, conversation):
    _, answer = conversation.ask("And then?")
    Message.objects.filter(pk=answer.pk).update(started_at="2026-01-01T00:00Z")

    assert "interrupted: the server stopped" in read(admin_client, conversation)


def test_a_citation_leads_to_its_page_with_the_place_of_the_quote(admin_client, user):
    document = make_document(user)
    conversation = make_conversation(user, mode="grounded_rag", documents=[document])
    _, answer = conversation.ask("When?")
    place = {"page": 1, "char_start": 1018, "char_end": 1020}
    text = {"quote": "so", "document_name": "museum.txt", "chunk_id": uuid4()}
    citation = Citation(message=answer, number=1, document=document, score=1, **place, **text)
    complete(answer, "So [1].", [citation])

    html = read(admin_client, conversation)

    try:
        page = reverse("admin:documents_document_page", args=[document.pk, 1])
    except NoReverseMatch:
        pytest.skip("the admin has no pages of documents")
    assert f'<a href="{page}?from=1018&amp;to=1020">museum.txt, page 1</a>' in html
