"""Forgetting a user: all they had goes, in batches; what their models cost stays as sums.

Each batch is a transaction of its own, and the user goes last: what is killed half way goes on
where it stopped when it is run again.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Count, Sum
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied

from botgpt.accounts.models import APIKey, User
from botgpt.accounts.permissions import require_permissions
from conversations.models import (
    Actor,
    ActorKind,
    AuditEntry,
    Conversation,
    Message,
    Spending,
    UsageEntry,
)
from conversations.models.audit import SYSTEM
from documents import admin_log
from documents.models import Document, IdempotentCall, Rate

# Rows in a transaction. A conversation that has more messages goes whole.
MESSAGES_AT_ONCE = 1_000
DOCUMENTS_AT_ONCE = 20
ENTRIES_AT_ONCE = 5_000
SESSIONS_AT_ONCE = 1_000
# A web process looks four times a second which answers it has to stop.
STOPPED_WITHIN_SECONDS = 5.0
POLL_SECONDS = 0.1

Progress = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Belongings:
    """How much there is of a user."""

    conversations: int
    messages: int
    documents: int
    document_bytes: int
    api_keys: int
    usage_entries: int

    @property
    def steps(self) -> int:
        """What the progress of forgetting counts."""
        return self.messages + self.documents + self.usage_entries


def belongings(user: User) -> Belongings:
    """In five queries."""
    files = user.documents.aggregate(n=Count("pk"), size=Sum("size", default=0))
    return Belongings(
        conversations=user.conversations.count(),
        messages=Message.objects.filter(conversation__user=user).count(),
        documents=files["n"],
        document_bytes=files["size"],
        api_keys=user.api_keys.count(),
        usage_entries=user.usage.count(),
    )


class StaffAccount(PermissionDenied):
    """Whoever asks is no superuser."""

    default_code = "staff_account"
    default_detail = (
        "This is a staff account: only a superuser, signed in to the admin, deletes it."
    )


def permissions_to_forget(users: Collection[User]) -> list[str]:
    """Those that staff need: to delete users, and whatever these have."""
    theirs: dict[str, Any] = {
        "conversations.delete_conversation": Conversation.objects.filter(user__in=users),
        "documents.delete_document": Document.objects.filter(user__in=users),
        "accounts.delete_apikey": APIKey.objects.filter(owner__in=users),
    }
    return ["accounts.delete_user", *(name for name, rows in theirs.items() if rows.exists())]


def require_may_forget(user: User, actor: Actor) -> None:
    """Raises StaffAccount or MissingPermission."""
    # A key is no account: not even the key of a superuser is one.
    account = actor.id if actor.kind == ActorKind.STAFF else None
    by = User.objects.get(pk=account) if account else User()
    if not by.may_manage(user):
        raise StaffAccount()
    if account:
        require_permissions(by, permissions_to_forget([user]))


def shut_out(user: User, actor: Actor) -> None:
    """From now on no key and no password of theirs acts for the user.

    It is the first step of each deletion, so it tells the audit trail.
    """
    user.set_unusable_password()
    user.is_active = False
    with transaction.atomic():
        # Another call may have removed the user meanwhile, which `save` would take for an error.
        User.objects.filter(pk=user.pk).update(password=user.password, is_active=False)
        user.api_keys.filter(revoked_at=None).update(revoked_at=timezone.now())
        AuditEntry.objects.record_user_deletion(actor, user.pk, user.date_joined)


def forget(user: User, progress: Progress = lambda _: None, *, actor: Actor = SYSTEM) -> None:
    """Deletes all there is of a user, and makes their usage nobody's.

    The audit trail keeps that `actor` deleted the user, and the conversations, but no longer whose
    these were.
    """
    shut_out(user, actor)
    _stop_answers(user)
    keys = list(user.api_keys.values_list("pk", flat=True))
    callers = [f"staff:{user.pk}", *(f"key:{one}" for one in keys)]
    IdempotentCall.objects.of_user(user.pk, callers).delete()
    while chosen := user.conversations.order_by("pk").first_with(MESSAGES_AT_ONCE):
        Conversation.objects.filter(pk__in=chosen).remove(actor)
        progress(sum(chosen.values()))
    while removed := Document.objects.filter(
        pk__in=_some(user.documents, DOCUMENTS_AT_ONCE)
    ).remove():
        progress(removed)
    while entries := _some(user.usage, ENTRIES_AT_ONCE):
        progress(UsageEntry.objects.filter(pk__in=entries).disown(keys))
    if user.last_login:
        _end_sessions(user)
    _remove(user, keys, callers, actor)


def _some(rows: Any, most: int) -> list[UUID]:
    return list(rows.order_by("pk").values_list("pk", flat=True)[:most])


def _stop_answers(user: User) -> None:
    """Ends answers under way, by the processes that give them or else from here."""
    pending = Message.objects.filter(status=Message.Status.PENDING, conversation__user=user)
    pending.update(cancel_requested=True)
    deadline = time.monotonic() + STOPPED_WITHIN_SECONDS
    while pending.exists() and time.monotonic() < deadline:
        pending.interrupt_orphans()
        time.sleep(POLL_SECONDS)
    for answer in pending:
        answer.interrupt()


def _end_sessions(user: User) -> None:
    """A session tells only inside of it whose it is."""
    rest = Session.objects.order_by("pk")
    page = list(rest[:SESSIONS_AT_ONCE])
    while page:
        whose = {one.pk: one.get_decoded().get(SESSION_KEY) for one in page}
        theirs = [pk for pk, owner in whose.items() if owner == str(user.pk)]
        Session.objects.filter(pk__in=theirs).delete()
        page = list(rest.filter(pk__gt=page[-1].pk)[:SESSIONS_AT_ONCE])


def _remove(user: User, keys: Collection[UUID], callers: Collection[str], actor: Actor) -> None:
    """The user, with what was begun for them meanwhile; in one transaction."""
    with transaction.atomic():
        # Whoever is saving something of the user waits for the end of this, and is refused then.
        if not User.objects.select_for_update().filter(pk=user.pk).exists():
            return
        user.conversations.all().remove(actor)
        user.documents.all().remove()
        user.usage.all().disown(keys)
        IdempotentCall.objects.of_user(user.pk, callers).delete()
        Spending.objects.filter(holder__in=[user.pk, *keys]).delete()
        Rate.objects.filter(holder__in=[user.pk, *keys]).delete()
        AuditEntry.objects.erase([user.pk, *keys])
        admin_log.erase(APIKey, keys)
        admin_log.erase(User, [user.pk])
        User.objects.filter(pk=user.pk).delete()
