"""What models were paid for, written down as it happens."""

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID

from conversations.models import Conversation, UsageEntry
from llm import catalogue
from llm.messages import Usage

Purpose = UsageEntry.Purpose
# A cost is kept to so many digits, which is what a cached token of the cheapest model needs.
CENT = Decimal("0.00000001")


def cost(model: str, usage: Usage) -> Decimal:
    """In USD; nothing for what needed no model."""
    if model not in catalogue.MODELS:
        return Decimal(0)
    return catalogue.find(model).cost(usage).quantize(CENT)


def entry(
    conversation: Conversation,
    purpose: Purpose,
    model: str,
    usage: Usage,
    *,
    message_id: UUID | None = None,
    charged_to: Sequence[UUID] = (),
    estimated: bool = False,
) -> UsageEntry:
    """What notes one call of a model; not saved."""
    return UsageEntry(
        user_id=conversation.user_id,
        key_id=charged_to[0] if charged_to else None,
        conversation_id=conversation.pk,
        message_id=message_id,
        purpose=purpose,
        model=model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        cost_usd=cost(model, usage),
        estimated=estimated,
    )
