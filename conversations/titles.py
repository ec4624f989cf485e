"""Titles of conversations that nobody named, written by the small model."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from conversations import ledger, small_model
from conversations.database import in_database
from conversations.exceptions import BudgetExceeded
from conversations.models import Conversation, Message
from llm import prompts
from llm.errors import LLMError

TITLE_TOKENS = 60
AT_A_TIME = 40
# For so long after an answer was begun the model is asked again where it could not answer.
TRIED_FOR = timedelta(minutes=5)
# A conversation that has no answer by then keeps its first words.
WAITED_FOR = timedelta(days=1)


async def write_due() -> None:
    """Names the conversations whose first answer is there, newest first; a part of them."""
    await small_model.write_all(await in_database(_due), _write)


def _due() -> list[Message]:
    """First answers of conversations to name, with their questions."""
    unnamed = Conversation.objects.filter(title_due=True)
    unnamed.filter(created_at__lt=timezone.now() - WAITED_FOR).update(title_due=False)
    first = Message.objects.filter(
        conversation__title_due=True,
        active=True,
        position=1,
        role=Message.Role.ASSISTANT,
        status=Message.Status.COMPLETED,
    )
    joined = first.select_related("conversation", "parent").order_by("-conversation_id")
    return list(joined[:AT_A_TIME])


async def _write(answer: Message) -> None:
    """Raises LLMError where it may pass."""
    asked: Any = answer.parent
    call = small_model.Call(
        answer.conversation,
        ledger.Purpose.TITLE,
        prompts.title(asked.content, answer.content),
        TITLE_TOKENS,
        answer.charged_to,
        answer.pk,
    )
    text = ""
    try:
        text = await small_model.ask(call)
    except LLMError as error:
        if isinstance(error, small_model.MAY_PASS) and _is_recent(answer):
            raise
    except BudgetExceeded:
        pass
    await in_database(_keep, answer.conversation, prompts.clean_title(text))


def _is_recent(answer: Message) -> bool:
    return answer.started_at is not None and answer.started_at > timezone.now() - TRIED_FOR


def _keep(conversation: Conversation, title: str) -> None:
    """Saves the title, unless the user gave one meanwhile; without one the first words stay."""
    changes: dict[str, Any] = {"title_due": False} | ({"title": title} if title else {})
    # By an update, which leaves the time of the last change alone.
    Conversation.objects.filter(pk=conversation.pk, title_due=True).update(**changes)
