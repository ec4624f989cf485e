"""Titles of conversations that nobody named, written by the small model."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from conversations import ledger, small_model
from conversations.database import in_database
from conversations.models import Conversation, Message
from llm import prompts
from llm.errors import LLMError
from llm.messages import Completion

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
    completion = None
    try:
        completion = await small_model.ask(
            prompts.title(asked.content, answer.content), TITLE_TOKENS
        )
    except LLMError as error:
        if isinstance(error, small_model.MAY_PASS) and _is_recent(answer):
            raise
    await in_database(_keep, answer, completion)


def _is_recent(answer: Message) -> bool:
    return answer.started_at is not None and answer.started_at > timezone.now() - TRIED_FOR


def _keep(answer: Message, completion: Completion | None) -> None:
    """Saves the title, unless the user gave one meanwhile; without one the first words stay."""
    conversation = answer.conversation
    title = prompts.clean_title(completion.text) if completion else ""
    changes: dict[str, Any] = {"title_due": False} | ({"title": title} if title else {})
    with transaction.atomic():
        # By an update, which leaves the time of the last change alone.
        Conversation.objects.filter(pk=conversation.pk, title_due=True).update(**changes)
        if completion is not None:
            ledger.charge(
                conversation,
                ledger.Purpose.TITLE,
                completion.model,
                completion.usage,
                message_id=answer.pk,
                charged_to=answer.charged_to,
            )
