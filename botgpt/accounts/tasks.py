"""Jobs about users that the worker runs."""

import logging
from dataclasses import asdict
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from botgpt.accounts.forgetting import (
    Belongings,
    belongings,
    forget,
    require_may_forget,
    shut_out,
)
from botgpt.accounts.models import User
from conversations.models.audit import Actor, ActorKind
from documents.origin import of_job

logger = logging.getLogger(__name__)

MAY_PASS = (OperationalError, InterfaceError, OSError)


# Tries again after 4, 16, 64 and 256 seconds; what was deleted until then stays so.
@app.task(
    queue="accounts",
    retry=RetryStrategy(max_attempts=4, exponential_wait=4, retry_exceptions=MAY_PASS),
)
def forget_user(user_id: str, actor: dict[str, str], origin: dict[str, str] | None = None) -> None:
    """Deletes all there is of a user; `actor` is who wants it, for the audit trail.

    `origin` is for the worker's log (see `botgpt.jobs`).
    """
    if user := User.objects.filter(pk=user_id).first():
        there_was = belongings(user)
        who = UUID(actor["id"]) if actor["id"] else None
        forget(user, actor=Actor(ActorKind(actor["kind"]), who, actor["request_id"]))
        logger.info("user forgotten", extra=asdict(there_was))


def defer_forgetting(user: User, actor: Actor) -> Belongings:
    """Shuts the user out and queues the rest, in one transaction; how much there is to delete.

    Raises StaffAccount or MissingPermission where `actor` may not.
    """
    require_may_forget(user, actor)
    with transaction.atomic():
        shut_out(user, actor)
        who = {
            "kind": actor.kind.value,
            "id": str(actor.id or ""),
            "request_id": actor.request_id,
        }
        forget_user.defer(user_id=str(user.pk), actor=who, origin=of_job())
        return belongings(user)
