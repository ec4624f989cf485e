"""The prompt of an answer in the admin: for some of the staff, and never called what it is not."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Permission

from botgpt.accounts.models import User
from conversations.models import AuditEntry, Conversation, Message
from documents.models import Document
from tests import fake_groq
from tests.factories import make_conversation, make_document, post

pytestmark = pytest.mark.django_db

PROVED = "Rebuilt, and proved to be what was sent."
OTHER = "Rebuilt, and not quite what was sent."
UNPROVED = "Rebuilt; it may differ from what was sent."


@pytest.fixture
def conversation(user):
    return make_conversation(user, system_prompt="Speak <b>plainly</b>.")


def ask(api, conversation, content="And now?", status=201):
    """The answer, as it is stored."""
    path = f"/conversations/{conversation.pk}/messages"
    response = post(api, path, {"content": content})
    assert response.status_code == status, response.content
    return conversation.messages.filter(role="assistant").latest("pk")


def read(client, answer):
    response = client.get(f"/admin/conversations/message/{answer.pk}/prompt/")
    assert response.status_code == 200
    return response.content.decode()


def messages(html):
    """The role and text of each message shown."""
    found = re.findall(
        r'<header><strong>(\w+)</strong></header>\s*<div class="content">(.*?)</div>', html, re.S
    )
    return [(role, unescape(text)) for role, text in found]


def sent(groq):
    """Role and text of each message of the last prompt for an answer."""
    body = [one.body for one in groq.received if one.body["model"] == "openai/gpt-oss-120b"][-1]
    return [(one["role"], one["content"]) for one in body["messages"]]


def test_the_prompt_is_shown_as_it_was_sent_and_proved(admin_client, api, conversation, groq):
    ask(api, conversation)
    answer = ask(api, conversation, "And later?")
    ask(api, conversation, "And in the end?")

    html = read(admin_client, answer)

    assert PROVED in html
    shown = messages(html)
    assert shown[0][1].endswith("Speak <b>plainly</b>.")
    assert [text for _, text in shown[1:]] == [
        "Hello there",
        "Hello.",
        "And now?",
        "You asked: And now?",
        "And later?",
    ]


def test_the_passages_of_a_prompt_are_put_together_again(admin_client, api, user, groq, settings):
    settings.PASSAGES = 1
    make_document(user, "\n\n".join(f"The {n} ticket costs {n} euros. " * 40 for n in range(9)))
    make_document(user, "A ticket to the zoo costs 9 euros.", "zoo.txt")
    conversation = make_conversation(user, mode="grounded_rag")

    answer = ask(api, conversation, "What does the ticket cost?")
    html = read(admin_client, answer)

    assert PROVED in html
    assert messages(html) == sent(groq)
    assert "joined" in {one["outcome"] for one in answer.retrieval.candidates}
    assert "Passages that were found and not used" in html


@pytest.mark.parametrize("grounding", ["strict", "prefer"])
def test_what_the_conversation_is_told_later_changes_nothing(
    admin_client, api, user, document, groq, grounding
):
    conversation = make_conversation(user, mode="grounded_rag", grounding=grounding)
    answer = ask(api, conversation, "What does a ticket cost?")
    Conversation.objects.update(grounding="prefer" if grounding == "strict" else "strict")

    assert PROVED in read(admin_client, answer)


def test_other_instructions_are_not_called_what_was_sent(admin_client, api, conversation, groq):
    answer = ask(api, conversation)
    Conversation.objects.update(system_prompt="Speak in riddles.")

    html = read(admin_client, answer)

    assert OTHER in html
    assert PROVED not in html


def test_what_is_missing_is_told(admin_client, api, user, document, groq):
    conversation = make_conversation(user, mode="grounded_rag")
    answer = ask(api, conversation, "What does a ticket cost?")
    conversation.delete_message(conversation.messages.get(position=0).pk)
    Document.objects.all().remove()

    html = read(admin_client, answer)

    assert OTHER in html
    assert "Missing: 1 of the messages before it, which were deleted." in html
    assert "Missing: 1 chunks of documents that were deleted or read anew." in html


def test_without_a_fingerprint_nothing_is_proved(admin_client, api, conversation, groq):
    answer = ask(api, conversation)
    Message.objects.update(prompt_sha256="")

    html = read(admin_client, answer)

    assert UNPROVED in html
    assert PROVED not in html


def test_a_summary_that_was_used_is_part_of_it(admin_client, api, conversation, groq):
    second = conversation.messages.get(position=1)
    Conversation.objects.update(summary="They met.", summarised_through=second.pk)
    answer = ask(api, conversation)

    html = read(admin_client, answer)
    assert PROVED in html
    assert "They met." in messages(html)[0][1]

    Conversation.objects.update(summary="They met again.")
    assert OTHER in read(admin_client, answer)


def test_the_turns_that_had_no_room_are_told(admin_client, api, conversation, groq, settings):
    settings.CONTEXT_TOKENS, settings.ANSWER_TOKENS = 1200, 200
    ask(api, conversation, "word " * 700)
    answer = ask(api, conversation)

    html = read(admin_client, answer)

    assert PROVED in html
    left_out = answer.context["history"]["left_out"]
    assert f"Messages that had no room: the last {left_out} of {left_out}" in html
    assert "word word" in html


def test_the_prompt_of_an_answer_that_failed_is_shown(admin_client, api, conversation, groq):
    groq.script(fake_groq.error(503))
    answer = ask(api, conversation, status=503)

    assert PROVED in read(admin_client, answer)


def test_where_no_model_was_asked_it_is_said(admin_client, api, user, document):
    conversation = make_conversation(user, mode="grounded_rag")
    answer = ask(api, conversation, "What does a ticket cost?")

    html = read(admin_client, answer)

    assert "No model was sent anything" in html
    assert PROVED not in html


def test_of_an_answer_without_a_prompt_nothing_is_shown(admin_client, conversation):
    answer = conversation.messages.get(role="assistant")

    html = read(admin_client, answer)

    assert "Nothing is stored of the prompt" in html
    assert messages(html) == []


@pytest.mark.parametrize(
    ("rights", "status"), [(["view_message"], 403), (["view_message", "view_prompt"], 200)]
)
def test_only_staff_who_may_see_it(client, api, conversation, groq, rights, status):
    answer = ask(api, conversation)
    staff = User.objects.create_user("ada", password="secret", is_staff=True)
    rights = [*rights, "view_conversation"]
    staff.user_permissions.set(Permission.objects.filter(codename__in=rights))
    client.force_login(staff)

    path = f"/admin/conversations/message/{answer.pk}/prompt/"
    transcript = client.get(f"/admin/conversations/conversation/{conversation.pk}/change/")

    assert client.get(path).status_code == status
    assert (path in transcript.content.decode()) == (status == 200)
    assert AuditEntry.objects.filter(action="prompt").count() == (status == 200)


def test_the_audit_trail_tells_who_saw_a_prompt(admin_client, admin_user, api, conversation, groq):
    read(admin_client, ask(api, conversation))

    entry = AuditEntry.objects.first()
    told = (entry.action, entry.actor_kind, entry.actor_id, entry.conversation_id)
    assert told == ("prompt", "staff", admin_user.pk, conversation.pk)


def test_it_takes_few_queries(admin_client, api, conversation, groq, django_assert_max_num_queries):
    for _ in range(5):
        answer = ask(api, conversation)

    with django_assert_max_num_queries(7):
        read(admin_client, answer)
