"""Running summaries: what left the window is told in the system message, on its own path alone."""

import pytest
from asgiref.sync import async_to_sync
from django.core.management import call_command
from django.db import connection

from botgpt.accounts.models import User
from conversations import history, tasks
from conversations.models import Conversation, Message, Spending, UsageEntry
from tests import fake_groq
from tests.factories import call, complete, empty_queue, make_conversation, make_document, post

pytestmark = pytest.mark.django_db

SUMMARY = "The user is called Ada and plans a trip."
WORDS = " ".join(f"word{n}" for n in range(60))


@pytest.fixture
def groq(groq, settings):
    settings.CONTEXT_TOKENS, settings.ANSWER_TOKENS = 1800, 100
    return groq


@pytest.fixture
def conversation(user):
    return make_conversation(user)


def fold():
    async_to_sync(tasks.fold_histories.func)(timestamp=0)


def ask(api, conversation, content):
    path = f"/conversations/{conversation.pk}/messages"
    response = post(api, path, {"content": content})
    assert response.status_code == 201, response.content
    return response.json()


def ask_until_due(api, conversation, name="Question"):
    """Numbered questions, of which some have left the window with the last; how many."""
    for number in range(14):
        complete(conversation.ask(f"{name} {number}: {WORDS}")[1], "Yes.")
    ask(api, conversation, f"{name} 14: {WORDS}")
    conversation.refresh_from_db()
    assert conversation.summary_due
    return 15


def folded(api, conversation, groq):
    asked = ask_until_due(api, conversation)
    groq.script(fake_groq.answer(SUMMARY))
    fold()
    conversation.refresh_from_db()
    assert conversation.summary == SUMMARY
    return asked


def prompt(groq):
    return groq.received[-1].body["messages"]


def test_the_next_prompt_holds_the_summary_and_not_the_turns_it_covers(api, conversation, groq):
    asked = folded(api, conversation, groq)

    answer = ask(api, conversation, "And then?")["answer"]

    system, *rest = prompt(groq)
    assert SUMMARY in system["content"]
    said = " ".join(message["content"] for message in rest)
    assert "Question 0:" not in said
    assert f"Question {asked - 1}:" in said
    assert rest[0]["role"] == "user"
    assert answer["context"]["summary"]["kept"] == 1
    assert answer["context"]["history"]["left_out"] == 0
    # No turn is missing: the first one told is the one after the last folded.
    through = Message.objects.get(pk=conversation.summarised_through)
    following = conversation.messages.shown().get(position=through.position + 1)
    assert rest[0]["content"] == following.content


def test_the_small_model_is_given_the_oldest_turns_and_is_charged(api, conversation, groq, user):
    folded(api, conversation, groq)

    asked = groq.received[-1].body
    assert (asked["model"], asked["reasoning_effort"]) == ("openai/gpt-oss-20b", "low")
    assert "User: Question 0:" in asked["messages"][-1]["content"]
    entry = UsageEntry.objects.get(purpose="summary")
    assert (entry.user_id, entry.conversation_id) == (user.pk, conversation.pk)
    assert entry.prompt_tokens == 100


def test_folding_is_no_change_by_the_user(api, conversation, groq):
    ask_until_due(api, conversation)
    before = conversation.updated_at
    groq.script(fake_groq.answer(SUMMARY))

    fold()

    conversation.refresh_from_db()
    assert (conversation.updated_at, conversation.summary_due) == (before, False)


def test_a_later_summary_takes_up_the_former(api, conversation, groq):
    folded(api, conversation, groq)
    first = Message.objects.get(pk=conversation.summarised_through)
    ask_until_due(api, conversation)
    groq.script(fake_groq.answer("Ada has arrived."))

    fold()

    assert f"Summary so far: {SUMMARY}" in prompt(groq)[-1]["content"]
    assert "Question 0:" not in prompt(groq)[-1]["content"].partition("Messages:")[2][:20]
    conversation.refresh_from_db()
    second = Message.objects.get(pk=conversation.summarised_through)
    assert (conversation.summary, second.position > first.position) == ("Ada has arrived.", True)


@pytest.mark.parametrize("reply", [fake_groq.error(503), fake_groq.error(429)])
def test_a_model_that_cannot_answer_now_leaves_the_window_and_is_asked_again(
    api, conversation, groq, reply
):
    asked = ask_until_due(api, conversation)
    groq.script(reply)

    fold()

    conversation.refresh_from_db()
    assert (conversation.summary, conversation.summary_due) == ("", True)
    answer = ask(api, conversation, "And then?")["answer"]
    said = " ".join(message["content"] for message in prompt(groq))
    assert f"Question {asked - 1}:" in said
    assert "Question 0:" not in said
    assert answer["context"]["history"]["left_out"] > 0
    groq.script(fake_groq.answer(SUMMARY))
    fold()
    conversation.refresh_from_db()
    assert conversation.summary == SUMMARY


@pytest.mark.parametrize(
    "reply", [fake_groq.answer("..."), fake_groq.empty(), fake_groq.error(400)]
)
def test_a_useless_summary_is_due_again_at_the_next_turn(api, conversation, groq, reply):
    ask_until_due(api, conversation)
    groq.script(reply)

    fold()
    fold()

    conversation.refresh_from_db()
    assert (conversation.summary, conversation.summarised_through) == ("", None)
    assert not conversation.summary_due
    ask(api, conversation, "And then?")
    conversation.refresh_from_db()
    assert conversation.summary_due


def test_a_question_edited_before_the_covered_point_knows_no_summary(api, conversation, groq):
    folded(api, conversation, groq)
    first = conversation.messages.shown().get(position=2)

    path = f"/conversations/{conversation.pk}/messages/{first.pk}/edit"
    assert post(api, path, {"content": "Something else"}).status_code == 201

    assert SUMMARY not in str(prompt(groq))


def test_a_branch_does_not_use_the_summary_of_another(api, conversation, groq):
    folded(api, conversation, groq)
    path = f"/conversations/{conversation.pk}/messages"
    second = conversation.messages.shown().get(position=2)
    long_ago = conversation.messages.shown().last()
    post(api, f"{path}/{second.pk}/edit", {"content": "Something else"})
    other = conversation.messages.shown().last()
    conversation.refresh_from_db()
    ask_until_due(api, conversation, "Another")
    groq.script(fake_groq.answer("The other branch."))
    fold()
    ask(api, conversation, "And?")
    assert "The other branch." in prompt(groq)[0]["content"]

    assert post(api, f"{path}/{long_ago.pk}/activate").status_code == 200
    ask(api, conversation, "And here?")
    assert "The other branch." not in str(prompt(groq))
    assert SUMMARY not in str(prompt(groq))

    assert post(api, f"{path}/{other.pk}/activate").status_code == 200
    ask(api, conversation, "And there?")
    assert "The other branch." in prompt(groq)[0]["content"]


@pytest.mark.django_db(transaction=True)
def test_a_path_that_is_left_meanwhile_gets_no_summary(api, conversation, groq):
    ask_until_due(api, conversation)
    second = conversation.messages.shown().get(position=2)

    def edited_meanwhile(handler, request):
        conversation.edit(second.pk, "Something else")
        connection.close()  # this thread's own
        fake_groq.answer(SUMMARY)(handler, request)

    groq.script(edited_meanwhile)
    fold()

    conversation.refresh_from_db()
    assert (conversation.summary, conversation.summary_due) == ("", True)
    assert UsageEntry.objects.filter(purpose="summary").exists()


def test_what_is_deleted_does_not_live_on_in_the_summary(api, conversation, groq):
    folded(api, conversation, groq)
    through = Message.objects.get(pk=conversation.summarised_through)
    path = f"/conversations/{conversation.pk}/messages"
    newest, covered = conversation.messages.shown().last(), conversation.messages.get(position=2)
    assert covered.position < through.position

    call(api, "DELETE", f"{path}/{newest.pk}")
    assert Conversation.objects.get().summary == SUMMARY

    call(api, "DELETE", f"{path}/{covered.pk}")
    assert Conversation.objects.get().summary == ""


def test_passages_have_their_room_before_a_grounded_history(api, user, groq):
    make_document(user)
    conversation = make_conversation(user, mode="grounded_rag")
    ask_until_due(api, conversation, "What does a ticket cost?")
    groq.script(fake_groq.answer(SUMMARY))

    fold()
    answer = ask(api, conversation, "What does a ticket cost?")["answer"]

    assert SUMMARY in prompt(groq)[0]["content"]
    context = answer["context"]
    assert (context["history"]["left_out"], context["passages"]["left_out"]) == (0, 0)


def test_more_messages_than_a_question_reads_are_folded_too(api, user, settings, groq):
    settings.CONTEXT_TOKENS = 16_000
    conversation = make_conversation(user)
    for number in range(history.STEP):
        complete(conversation.ask(f"Short {number}")[1], "Yes.")
    answer = ask(api, conversation, "And then?")["answer"]
    assert answer["context"]["history"]["left_out"] == history.STEP
    groq.script(fake_groq.answer(SUMMARY))

    fold()
    ask(api, conversation, "And now?")

    system, first, *_ = prompt(groq)
    assert SUMMARY in system["content"]
    assert first == {"role": "user", "content": f"Short {history.STEP // 2 + 1}"}


def test_what_fits_after_all_is_not_folded(api, conversation, groq, settings):
    ask_until_due(api, conversation)
    settings.CONTEXT_TOKENS = 16_000
    ask(api, conversation, "And then?")
    asked = len(groq.received)

    fold()

    conversation.refresh_from_db()
    assert (len(groq.received), conversation.summary_due) == (asked, False)


def test_without_a_key_nothing_is_folded(api, conversation, groq, settings):
    ask_until_due(api, conversation)
    settings.GROQ_API_KEY = ""

    fold()

    conversation.refresh_from_db()
    assert (conversation.summary, conversation.summary_due) == ("", True)


@pytest.mark.django_db(transaction=True)
def test_the_worker_folds(api, conversation, groq):
    ask_until_due(api, conversation)
    groq.script(fake_groq.answer(SUMMARY))

    empty_queue()
    tasks.fold_histories.defer(timestamp=0)
    call_command("procrastinate", "worker", "--one-shot", "--no-listen-notify")

    conversation.refresh_from_db()
    assert conversation.summary == SUMMARY


def test_where_a_budget_is_used_up_nothing_is_folded_until_the_next_turn(api, conversation, groq):
    ask_until_due(api, conversation)
    User.objects.filter(pk=conversation.user_id).update(daily_tokens=130)
    asked = len(groq.received)

    fold()

    conversation.refresh_from_db()
    assert (conversation.summary, conversation.summary_due) == ("", False)
    assert len(groq.received) == asked


def test_a_summary_counts_to_the_budget(api, conversation, groq):
    User.objects.filter(pk=conversation.user_id).update(daily_tokens=100_000)

    folded(api, conversation, groq)

    took = sum(one.prompt_tokens + one.completion_tokens for one in UsageEntry.objects.all())
    assert Spending.objects.get().tokens == took == 240
