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


def charge(
    conversation: Conversation,
    purpose: Purpose,
    model: str,
    usage: Usage,
    *,
    message_id: UUID | None = None,
    charged_to: Sequence[UUID] = (),
    estimated: bool = False,
) -> Decimal:
    """Notes one call of a model; what it cost, in USD. Calls that took nothing leave no entry."""
    if not usage.prompt_tokens and not usage.completion_tokens:
        return Decimal(0)
    paid = cost(model, usage)
    keys = [holder for holder in charged_to if holder != conversation.user_id]
    UsageEntry.objects.create(
        user_id=conversation.user_id,
        key_id=keys[0] if keys else None,
        conversation_id=conversation.pk,
        message_id=message_id,
        purpose=purpose,
        model=model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        cost_usd=paid,
        estimated=estimated,
    )
    return paid
