"""Running summaries of what left the window of long conversations, written by the small model.

Until one is there, and wherever it fails, the window alone holds: the newest turns that fit.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from conversations import history, ledger, small_model
from conversations.database import in_database
from conversations.exceptions import BudgetExceeded
from conversations.models import Conversation, Message
from llm import catalogue, context, prompts, tokens
from llm.errors import LLMError
from llm.messages import ChatMessage

AT_A_TIME = 40


@dataclass(frozen=True, slots=True)
class Fold:
    """Messages to fold into a conversation's summary; `ids` are theirs."""

    conversation: Conversation
    summary: str
    messages: tuple[ChatMessage, ...]
    ids: tuple[UUID, ...]
    charged_to: tuple[UUID, ...]


async def fold_due() -> None:
    """Folds what left the window of the conversations where that is due; a part of them."""
    await small_model.write_all(await in_database(_due), _fold)


def _due() -> list[Conversation]:
    # In any order: none that fails again and again holds up the others.
    return list(Conversation.objects.filter(summary_due=True).order_by("?")[:AT_A_TIME])


async def _fold(conversation: Conversation) -> None:
    """Raises LLMError where it may pass. Where it does not, the next turn makes it due again."""
    fold = await in_database(_to_fold, conversation)
    if fold is None:
        await in_database(_put_off, conversation)
        return
    call = small_model.Call(
        conversation,
        ledger.Purpose.SUMMARY,
        prompts.summarise(fold.summary, fold.messages),
        prompts.SUMMARY_TOKENS,
        fold.charged_to,
    )
    try:
        text = await small_model.ask(call)
    except small_model.MAY_PASS:
        raise
    except (LLMError, BudgetExceeded):
        await in_database(_put_off, conversation)
        return
    await in_database(_keep, fold, prompts.clean_summary(text))


def _to_fold(conversation: Conversation) -> Fold | None:
    """The oldest messages that the summary does not cover; None where all of them fit.

    The room is that of the newest answer's prompt, so passages have had theirs.
    """
    answers = conversation.messages.shown().filter(role=Message.Role.ASSISTANT)
    newest = answers.exclude(context={}).last()
    if newest is None:
        return None
    model = catalogue.find(conversation.model)
    past = history.read_unsummarised(conversation)
    room = context.history_room(newest.context)
    count = context.to_fold(past.said, room, lambda text: tokens.estimate(text, model))
    count = max(count, _beyond_reading(past))
    if count == 0:
        return None
    return Fold(
        conversation,
        past.summary,
        tuple(one.message for one in past.said[:count]),
        past.ids[:count],
        tuple(newest.charged_to),
    )


def _beyond_reading(past: history.History) -> int:
    """How many of the oldest messages no question would read, in whole exchanges."""
    most = len(past.said) - history.STEP
    starts = [n for n, one in enumerate(past.said) if n <= most and one.message.role == "user"]
    return starts[-1] if starts and most >= history.STEP else 0


def _put_off(conversation: Conversation) -> None:
    Conversation.objects.filter(pk=conversation.pk).update(summary_due=False)


def _keep(fold: Fold, summary: str) -> None:
    """Saves the summary, unless the path or the summary have changed meanwhile."""
    with transaction.atomic():
        # No branch is left while it is locked.
        rows = Conversation.objects.select_for_update(no_key=True).filter(pk=fold.conversation.pk)
        now = rows.first()
        if now is None or now.summarised_through != fold.conversation.summarised_through:
            return
        if now.messages.filter(active=True, pk__in=fold.ids).count() < len(fold.ids):
            return
        changes = {"summary": summary, "summarised_through": fold.ids[-1]} if summary else {}
        # By an update, which leaves the time of the last change alone.
        rows.update(summary_due=False, **changes)
