"""An answer is saved once, also where a connection breaks just after the commit."""

import pytest

from conversations.models import EndedBefore, Message, UsageEntry
from conversations.turn import Turn
from llm.messages import Completion, Usage
from tests.factories import make_conversation

pytestmark = pytest.mark.django_db


@pytest.fixture
def turn(user, settings):
    settings.GROQ_API_KEY = "gsk_test"
    conversation = make_conversation(user)
    made = Turn(conversation, *conversation.ask("And?"))
    made.plan_at_once()
    return made


def save(turn):
    completion = Completion("So.", turn.plan.models[0], Usage(100, 20), "stop", None)
    turn.save(turn.plan, completion, "So.")


def test_what_is_saved_again_is_charged_once(turn):
    save(turn)
    with pytest.raises(EndedBefore):
        save(turn)
    turn.take_as_stored()

    assert (turn.answer.status, turn.answer.content) == ("completed", "So.")
    assert UsageEntry.objects.get(message_id=turn.answer.pk).cost_usd == turn.answer.cost_usd > 0


def test_an_answer_taken_for_dead_may_end_after_all(turn):
    Message.objects.get(pk=turn.answer.pk).interrupt()

    save(turn)

    stored = Message.objects.get(pk=turn.answer.pk)
    assert (stored.status, stored.content, stored.error_code) == ("completed", "So.", "")


def test_an_answer_begun_anew_is_not_ended_by_its_former_attempt(turn):
    again = Message.objects.get(pk=turn.answer.pk)
    again.interrupt()
    turn.conversation.ask_again(again.pk)

    with pytest.raises(EndedBefore):
        save(turn)

    assert Message.objects.get(pk=turn.answer.pk).status == "pending"
