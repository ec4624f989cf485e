"""Citations: the same everywhere, checked when saved, readable for ever."""

from uuid import uuid4

import pytest

from conversations import turn
from conversations.citations import cite
from conversations.models import Citation, Message
from documents.models import Page
from tests import fake_groq
from tests.factories import (
    assert_problem,
    events_of,
    get,
    make_conversation,
    make_document,
    post,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(user, document):
    # No model writes searches here: each scripted answer is that to the question.
    return make_conversation(
        user, mode="grounded_rag", documents=[document], query_rewriting="terms"
    )


def ask(api, conversation, content="What does a ticket cost?", **more):
    body = {"content": content, **more}
    return post(api, f"/conversations/{conversation.pk}/messages", body)


def history(api, conversation):
    return get(api, f"/conversations/{conversation.pk}/messages").json()["results"]


def test_reply_stream_and_history_say_the_same(api, conversation, groq):
    groq.script(fake_groq.answer("It costs 14.50 euros [1]."))
    replied = ask(api, conversation).json()["answer"]
    groq.script(fake_groq.answer("It costs 14.50 euros [1]."))
    patched = events_of(ask(api, conversation, "What does each ticket cost?", stream=True))
    streamed = patched[-1][2]["answer"]

    stored = history(api, conversation)

    assert replied == stored[-3]
    assert streamed == stored[-1]
    assert len(replied["citations"]) == len(streamed["citations"]) == 1
    detail = get(api, f"/conversations/{conversation.pk}").json()["messages"]
    assert detail[-1] == streamed


def test_a_citation_has_page_offsets_and_the_exact_words(api, conversation, document):
    [citation] = ask(api, conversation).json()["answer"]["citations"]

    page = Page.objects.get(document=document, number=citation["page"])
    assert page.text[citation["char_start"] : citation["char_end"]] == citation["quote"]
    assert "14.50 euros" in citation["quote"]
    assert citation["document_id"] == str(document.pk)
    assert citation["document_name"] == "museum.txt"
    assert citation["score"] > 0
    assert citation["section"] is not None
    assert citation["verified"] is True


def test_offsets_count_characters_not_bytes(api, user):
    document = make_document(
        user, "Ünïcödé 🎫🎫 café.\n\nThe ticket 🎫 costs ٣ dirhams – naïve!", "u.txt"
    )
    conversation = make_conversation(user, mode="grounded_rag", documents=[document])

    [citation] = ask(api, conversation).json()["answer"]["citations"]

    page = Page.objects.get(document=document)
    assert page.text[citation["char_start"] : citation["char_end"]] == citation["quote"]
    assert citation["verified"] is True


def test_a_quote_that_is_not_in_the_page_is_marked_unverified(api, conversation, document):
    Page.objects.filter(document=document).update(text="Something else stands here now.")

    [citation] = ask(api, conversation).json()["answer"]["citations"]

    assert citation["verified"] is False


def test_citations_are_checked_in_one_query(document, django_assert_num_queries):
    page = Page.objects.get(document=document)
    quotes = [(document.pk, 1, n, page.text[n : n + 9]) for n in range(0, 60, 7)]
    wrong = [(document.pk, 1, 3, "nowhere"), (document.pk, 2, 0, "T"), (None, 1, 0, "T")]

    with django_assert_num_queries(1):
        standing = Page.objects.holding(quotes + wrong)

    assert standing == set(range(len(quotes)))


@pytest.mark.parametrize("stream", [False, True])
def test_labels_count_from_one_and_those_that_point_nowhere_are_dropped(api, user, groq, stream):
    make_document(user, "Lions sleep all day in the zoo.", "lions.txt")
    make_document(user, "Zebras run all day in the zoo.", "zebras.txt")
    conversation = make_conversation(user, mode="grounded_rag")
    groq.script(fake_groq.answer("They run [2, 9] and sleep [1][0], of course [12]."))

    response = ask(
        api, conversation, "What do zebras and lions of the zoo do all day?", stream=stream
    )
    if stream:
        events = events_of(response)
        answer = events[-1][2]["answer"]
        shown = "".join(data["text"] for _, name, data in events if name == "delta")
        assert shown == answer["content"]
        passages = events[1][2]["passages"]
    else:
        answer = response.json()["answer"]
        prompt = groq.received[-1].body["messages"][-1]["content"]
        passages = [
            {"document_name": name}
            for name in sorted(["lions.txt", "zebras.txt"], key=prompt.index)
        ]

    assert answer["content"] == "They run [2] and sleep [1], of course ."
    assert answer["context"]["citations_dropped"] == 3
    assert answer["grounding"] == "partial"
    assert [citation["number"] for citation in answer["citations"]] == [1, 2]
    for citation in answer["citations"]:
        label = citation["number"] - 1
        assert citation["document_name"] == passages[label]["document_name"]


def test_a_mark_of_the_documents_own_is_no_citation(api, user):
    document = make_document(
        user, "The treaty was signed in Lisbon [2] by all members [14].", "w.txt"
    )
    conversation = make_conversation(user, mode="grounded_rag", documents=[document])

    answer = ask(api, conversation, "Where was the treaty signed by all members?").json()["answer"]

    assert [citation["number"] for citation in answer["citations"]] == [1]
    assert answer["context"]["citations_dropped"] == 0
    assert answer["grounding"] == "answered"


def test_a_citation_is_shown_with_the_text_around_it(
    api, conversation, document, django_assert_max_num_queries
):
    [citation] = ask(api, conversation).json()["answer"]["citations"]

    with django_assert_max_num_queries(3):
        body = get(api, f"/citations/{citation['id']}").json()

    assert {name: body[name] for name in citation} == citation
    page = Page.objects.get(document=document).text
    assert body["before"] + body["quote"] + body["after"] in page
    assert "Opening hours" in body["before"]
    assert body["document"]["id"] == str(document.pk)
    assert body["message_id"] == history(api, conversation)[-1]["id"]


def test_a_citation_outlives_its_document_but_the_text_around_it_does_not(
    api, conversation, document
):
    [citation] = ask(api, conversation).json()["answer"]["citations"]
    document.remove()

    body = get(api, f"/citations/{citation['id']}").json()

    assert body["quote"] == citation["quote"]
    assert (body["document_id"], body["document"]) == (None, None)
    assert (body["before"], body["after"]) == ("", "")
    assert Page.objects.count() == 0


def test_a_document_deleted_while_the_model_speaks_leaves_its_quote(
    api, conversation, document, groq
):
    def late(*args):
        found = cite(*args)
        document.remove()
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(turn, "cite", late)
        groq.script(fake_groq.answer("It costs 14.50 euros [1]."))
        answer = ask(api, conversation).json()["answer"]

    assert answer["status"] == "completed"
    assert answer["citations"][0]["document_id"] is None
    assert "14.50" in answer["citations"][0]["quote"]


def test_anothers_citation_is_not_found(api, conversation):
    [citation] = ask(api, conversation).json()["answer"]["citations"]

    assert_problem(get(api, f"/citations/{citation['id']}?user_id={uuid4()}"), 404)
    assert_problem(get(api, f"/citations/{uuid4()}"), 404)
    assert Citation.objects.count() == 1


def test_asking_again_replaces_citations_and_trace(api, conversation, groq):
    groq.script(fake_groq.cut())
    failed = events_of(ask(api, conversation, stream=True))[-1][2]["answer_id"]
    groq.script(fake_groq.answer("It costs 14.50 euros [1]."))

    path = f"/conversations/{conversation.pk}/messages/{failed}/retry"
    answer = post(api, path, {}).json()["answer"]

    assert [citation["number"] for citation in answer["citations"]] == [1]
    assert Message.objects.get(pk=failed).retrieval.candidates
