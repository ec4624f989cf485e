"""Messages: a tree in each conversation, of which one path is the conversation as it is shown."""

from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone
from uuid_utils.compat import uuid7

from conversations.models.ending import end
from conversations.models.evidence import Citation, Retrieval
from conversations.models.process import WebProcess
from conversations.models.usage import Amount, Limit, UsageEntry
from documents.models import Document
from documents.ownership import OwnedQuerySet

# What the column holds, 25 days: an answer may be found much later that its process left behind.
MOST_MILLISECONDS = 2**31 - 1


def note_known(owner: models.Model, name: str, related: Sequence[Any]) -> None:
    """Notes what a relation of a new object holds, as `prefetch_related` would after a query."""
    # A relation that is empty has no need of its manager, which takes long to make.
    model: Any = owner._meta.get_field(name).related_model
    rows: Any = getattr(owner, name).get_queryset() if related else model.objects.none()
    rows._result_cache, rows._prefetch_done = list(related), True
    # Django's hint where to read from: each would hold the other.
    rows._hints, rows._known_related_objects = {}, {}
    vars(owner).setdefault("_prefetched_objects_cache", {})[name] = rows


class EndedBefore(Exception):
    """The answer has ended already, or was begun anew elsewhere."""


class MessageQuerySet(OwnedQuerySet["Message"]):
    """Sets of messages."""

    owner: ClassVar = "conversation__user"

    def with_all_it_rests_on(self) -> "MessageQuerySet":
        """With citations, feedback, query and siblings, in two database queries."""
        same_place = Message.objects.filter(
            Q(parent=OuterRef("parent")) | Q(position=0),
            conversation=OuterRef("conversation"),
            position=OuterRef("position"),
        )
        joined = self.select_related("retrieval", "feedback").annotate(
            sibling_ids=ArraySubquery(same_place.order_by("pk").values("pk"))
        )
        return joined.defer("retrieval__candidates").prefetch_related("citations")

    def shown(self) -> "MessageQuerySet":
        """Those on the active path, in order."""
        return self.filter(active=True).order_by("position")

    def orphaned(self) -> "MessageQuerySet":
        """Answers to come whose process is gone."""
        alive = WebProcess.objects.alive().filter(pk=OuterRef("process"))
        # A process may have begun an answer before its first sign of life is to be seen.
        known = WebProcess.objects.filter(pk=OuterRef("process"))
        long_ago = Q(started_at__lt=Now() - WebProcess.LEASE) | Q(started_at=None)
        gone = ~Exists(alive) & (Exists(known) | long_ago)
        return self.filter(gone, status=Message.Status.PENDING)

    def interrupt_orphans(self, most: int = 1000) -> int:
        """Ends so many answers to come whose process is gone; how many there were."""
        # Each in a transaction of its own: it queues for its payers' budgets.
        orphans = self.orphaned()[:most]
        for answer in orphans:
            answer.interrupt()
        return len(orphans)


class Message(models.Model):
    """What the user or the model said."""

    class Role(models.TextChoices):
        """Who said it."""

        USER = "user"
        ASSISTANT = "assistant"

    class Status(models.TextChoices):
        """Whether it is whole."""

        PENDING = "pending"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"
        INTERRUPTED = "interrupted"

    class Grounding(models.TextChoices):
        """How far an answer rests on the documents."""

        ANSWERED = "answered"
        PARTIAL = "partial"
        NO_EVIDENCE = "no_evidence"

    # Not stored: the budgets of those who pay for it, as they were when it was asked for.
    limits: Sequence[Limit] = ()

    # What ended before its end, and can be asked for again in its place.
    BROKEN_OFF = (Status.FAILED, Status.CANCELLED, Status.INTERRUPTED)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(
        "conversations.Conversation", on_delete=models.CASCADE, related_name="messages"
    )
    # The conversation's, so that what belongs to a message is one step from its user too. No
    # constraint and no index: they are found, and deleted, by their conversation.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    # Messages of a conversation are deleted together, in one statement however deep the tree is;
    # the database checks at the end of the transaction that no parent is missing.
    parent = models.ForeignKey(
        "self", on_delete=models.DO_NOTHING, null=True, blank=True, related_name="children"
    )
    position = models.PositiveIntegerField(help_text="How many messages lead to it.")
    active = models.BooleanField(
        default=True, help_text="On the path that the conversation is shown and continued by."
    )
    role = models.CharField(max_length=10, choices=Role)
    status = models.CharField(max_length=12, choices=Status, default=Status.COMPLETED)
    content = models.TextField(blank=True)
    model = models.CharField(max_length=100, blank=True)
    sampling = models.JSONField(default=dict, blank=True, help_text="As it was asked for.")
    finish_reason = models.CharField(max_length=40, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(default=0)
    rewrite_tokens = models.PositiveIntegerField(
        default=0, help_text="What writing the searches took; its cost is in the answer's."
    )
    cost_usd = models.DecimalField(max_digits=14, decimal_places=8, default=Decimal(0))
    grounding = models.CharField(
        max_length=12,
        choices=Grounding,
        blank=True,
        help_text="How far the answer rests on the documents; empty in open chat.",
    )
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    first_token_ms = models.PositiveIntegerField(
        null=True, blank=True, help_text="From when it was asked for to its first words."
    )
    context = models.JSONField(
        default=dict, blank=True, help_text="What the prompt held and what was left out."
    )
    prompt_sha256 = models.CharField(
        max_length=64, blank=True, help_text="Of the prompt that a model was sent."
    )
    process = models.UUIDField(null=True, blank=True, help_text="The web process that answers.")
    cancel_requested = models.BooleanField(default=False)
    charged_to = ArrayField(
        models.UUIDField(), default=list, blank=True, help_text="Whose budgets it counts to."
    )
    reserved_tokens = models.PositiveIntegerField(default=0)
    reserved_usd = models.DecimalField(max_digits=14, decimal_places=8, default=Decimal(0))
    started_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[Any] = MessageQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["conversation", "position", "id"]
        permissions: ClassVar = [("view_prompt", "Can see the prompts that models were sent")]
        indexes: ClassVar = [
            models.Index(fields=["conversation", "position"], name="message_place"),
            models.Index(fields=["process"], name="message_pending", condition=Q(status="pending")),
            models.Index(
                fields=["id"],
                name="message_to_cancel",
                condition=Q(status="pending", cancel_requested=True),
            ),
            models.Index(
                fields=["id"],
                name="message_broken_off",
                condition=Q(status__in=["failed", "cancelled", "interrupted"]),
            ),
            GinIndex(SearchVector("content", config="simple"), name="message_words"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["conversation", "position"],
                condition=Q(active=True),
                name="message_in_order",
            )
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.position}"

    @property
    def total_tokens(self) -> int:
        """All that the answer took, the writing of its searches included."""
        return self.prompt_tokens + self.completion_tokens + self.rewrite_tokens

    @property
    def knows_all(self) -> bool:
        """Whether it has at hand what `with_all_it_rests_on` reads."""
        return "sibling_ids" in vars(self)

    def stands_alone(self) -> "Message":
        """Notes of a new message that nothing stands beside it or belongs to it yet."""
        vars(self)["sibling_ids"] = [self.pk]
        note_known(self, "citations", [])
        for name in ("retrieval", "feedback"):
            self._state.fields_cache[name] = None
        return self

    def begin_again(self, process: UUID | None) -> None:
        """From broken off back to pending, with nothing left of the former attempt."""
        self.status, self.started_at, self.process = self.Status.PENDING, timezone.now(), process
        self.cancel_requested = False
        self.content = self.error_code = self.error = self.grounding = self.finish_reason = ""
        self.model, self.context, self.prompt_sha256 = "", {}, ""
        self.first_token_ms = None
        self.citations.all().delete()
        Retrieval.objects.filter(message=self).delete()
        self.save()

    def interrupt(self) -> None:
        """Ends an answer whose process died, with what is left of it.

        What it took is not known: what was reserved for it counts as spent. Raises
        Message.DoesNotExist where it was deleted meanwhile.
        """
        fields = ["status", "started_at", "content", "prompt_tokens", "cost_usd"]
        fields += ["reserved_tokens", "reserved_usd"]
        with transaction.atomic():
            self.refresh_from_db(fields=fields, from_queryset=Message.objects.select_for_update())
            if self.status != self.Status.PENDING:
                return
            self.status, self.error_code = self.Status.INTERRUPTED, "interrupted"
            self.error = "The server stopped before the answer's end: ask again."
            entry = self._entry_of_reserved() if self.reserved_tokens else None
            self.settle("".join(self.streamed.values_list("text", flat=True)), entry=entry)

    def _entry_of_reserved(self) -> UsageEntry:
        self.completion_tokens = self.reserved_tokens - self.prompt_tokens
        self.cost_usd += self.reserved_usd
        return UsageEntry(
            user_id=self.conversation.user_id,
            key_id=self.charged_to[0] if self.charged_to else None,
            conversation_id=self.conversation_id,
            message_id=self.pk,
            purpose=UsageEntry.Purpose.ANSWER,
            model=self.sampling.get("model") or self.conversation.model,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost_usd=self.reserved_usd,
            estimated=True,
        )

    @property
    def began_at(self) -> datetime:
        """When it was asked for: its day and month are those of the budgets that it counts to."""
        return self.started_at or self.created_at

    @property
    def reserved(self) -> Amount:
        """What its payers' budgets keep for it."""
        return Amount(self.reserved_tokens, self.reserved_usd)

    def settle(
        self, content: str, citations: Sequence[Citation] = (), entry: UsageEntry | None = None
    ) -> None:
        """Ends the answer with the status it has been given, and enters what it took.

        All in one transaction, in which what had been reserved for it is released. Raises
        Message.DoesNotExist where it was deleted meanwhile, and EndedBefore where it has ended: a
        connection may break just after a commit, and then it is saved again. Only what was
        interrupted, its process being taken for dead, may still end otherwise.
        """
        self.content, self.duration_ms = content, self.elapsed(timezone.now())
        together = transaction.atomic(savepoint=False) if citations else nullcontext()
        with together:
            if not end(self, entry):
                if Message.objects.filter(pk=self.pk).exists():
                    raise EndedBefore
                raise Message.DoesNotExist
            if citations:
                self._keep(citations)
        self.reserved_tokens, self.reserved_usd = 0, Decimal(0)
        note_known(self, "citations", sorted(citations, key=lambda one: one.number))

    def _keep(self, citations: Sequence[Citation]) -> None:
        """Saves citations; a document deleted since the search leaves its quote alone."""
        cited = {one.document_id for one in citations if one.document_id}
        locked = Document.objects.select_for_update(no_key=True).filter(pk__in=cited)
        there = set(locked.order_by("pk").values_list("pk", flat=True)) if cited else set()
        for citation in citations:
            if citation.document_id not in there:
                citation.document_id = None
        Citation.objects.bulk_create(citations)

    def elapsed(self, until: datetime) -> int | None:
        """Milliseconds since the answer was begun."""
        if self.started_at is None:
            return None
        elapsed = int((until - self.started_at) / timedelta(milliseconds=1))
        return min(max(0, elapsed), MOST_MILLISECONDS)


class StreamedText(models.Model):
    """A piece of an answer under way, kept until the answer itself is saved.

    What a process that dies leaves behind: the answer up to its last piece.
    """

    pk = models.CompositePrimaryKey("message_id", "start")
    # No constraint: one answer deleted meanwhile must not keep the others' pieces from being saved.
    message = models.ForeignKey(
        Message,
        on_delete=models.CASCADE,
        db_index=False,
        db_constraint=False,
        related_name="streamed",
    )
    start = models.PositiveIntegerField(help_text="Offset in the answer's text.")
    text = models.TextField()

    class Meta:
        ordering: ClassVar = ["message", "start"]

    def __str__(self) -> str:
        return f"from {self.start}"
