"""Conversations, their messages, and what answers rest on: citations, retrieval, feedback."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models, transaction
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from uuid_utils.compat import uuid7

from conversations.exceptions import AnswerUnderWay, NothingToRetry
from documents.models import NAME_CHARS, Document

TITLE_CHARS = 200
TITLE_WORDS = 10


class ConversationQuerySet(models.QuerySet["Conversation"]):
    """Sets of conversations."""

    def visible_to(self, user_id: UUID | None) -> "ConversationQuerySet":
        """One user's conversations; everyone's where no user is named."""
        return self if user_id is None else self.filter(user_id=user_id)

    def with_message_count(self) -> "ConversationQuerySet":
        """Adds `message_count` by a subquery, so that it joins with other counts."""
        rows = Message.objects.filter(conversation=OuterRef("pk")).order_by().values("conversation")
        count = Subquery(rows.annotate(n=Count("pk")).values("n"))
        return self.annotate(message_count=Coalesce(count, 0))

    def open(
        self, *, user: Any, content: str, documents: Sequence[Document], **fields: Any
    ) -> tuple["Conversation", "Message", "Message"]:
        """A new conversation with its first question and the answer to come."""
        title = fields.pop("title", "") or " ".join(content.split()[:TITLE_WORDS])
        with transaction.atomic():
            conversation = self.create(
                user=user, title=title[:TITLE_CHARS], all_documents=not documents, **fields
            )
            conversation.documents.set(documents)
            question, answer = conversation.ask(content)
        return conversation, question, answer


class Conversation(models.Model):
    """A conversation of one user with a model."""

    class Mode(models.TextChoices):
        """What answers may rest on."""

        OPEN_CHAT = "open_chat", "open chat"
        GROUNDED_RAG = "grounded_rag", "grounded in documents"

    class Grounding(models.TextChoices):
        """What becomes of a grounded question that the documents do not answer."""

        STRICT = "strict", "refused"
        PREFER = "prefer", "answered from general knowledge, and said so"

    class Rewriting(models.TextChoices):
        """How the search of a follow-up learns what the conversation is about."""

        OFF = "off", "not at all"
        TERMS = "terms", "by the words of the turns before"
        MODEL = "model", "by a small model; by words where there is none"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations"
    )
    mode = models.CharField(max_length=20, choices=Mode, default=Mode.OPEN_CHAT)
    title = models.CharField(max_length=TITLE_CHARS)
    model = models.CharField(max_length=100)
    system_prompt = models.TextField(blank=True)
    grounding = models.CharField(
        max_length=10,
        choices=Grounding,
        default=Grounding.STRICT,
        help_text="What becomes of a question that the documents do not answer.",
    )
    query_rewriting = models.CharField(
        max_length=10,
        choices=Rewriting,
        default=Rewriting.MODEL,
        help_text="How the search of a follow-up learns what the conversation is about.",
    )
    archived = models.BooleanField(default=False)
    # Kept apart from the choice itself: when a chosen document is deleted, the conversation
    # must not widen to documents that nobody chose.
    all_documents = models.BooleanField(
        default=False, help_text="Grounded in all of the user's documents; none was chosen."
    )
    documents = models.ManyToManyField(
        Document, through="ConversationDocument", related_name="conversations", blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[Any] = ConversationQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-updated_at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["user", "-updated_at", "-id"], name="conversation_of_user"),
            models.Index(fields=["-updated_at", "-id"], name="conversation_newest"),
        ]

    def __str__(self) -> str:
        return self.title

    def ask(self, content: str) -> tuple["Message", "Message"]:
        """Appends a question and the answer to come. Raises AnswerUnderWay."""
        with transaction.atomic():
            last = self._lock()
            position = last.position + 1 if last else 0
            question = self.messages.create(
                role=Message.Role.USER, content=content, position=position
            )
            answer = self.messages.create(
                role=Message.Role.ASSISTANT,
                status=Message.Status.PENDING,
                position=position + 1,
                started_at=timezone.now(),
            )
            self.save(update_fields=["updated_at"])
        return question, answer

    def ask_again(self, answer_id: UUID) -> tuple["Message", "Message"]:
        """Takes up a failed answer again. Raises NothingToRetry unless it is the newest."""
        with transaction.atomic():
            answer = self._lock()
            if answer is None or answer.pk != answer_id or answer.status != Message.Status.FAILED:
                raise NothingToRetry()
            answer.begin_again()
            question = self.messages.get(position=answer.position - 1)
        return question, answer

    def _lock(self) -> "Message | None":
        """The newest message, with the conversation locked until the transaction ends."""
        Conversation.objects.select_for_update().get(pk=self.pk)
        last = self.messages.order_by("-position").first()
        if last is not None and last.status == Message.Status.PENDING:
            if last.is_under_way():
                raise AnswerUnderWay()
            last.mark_failed("interrupted", "The answer was interrupted: ask again.")
        return last

    def searched_documents(self) -> models.QuerySet[Document]:
        """Those it is grounded in: the chosen ones, or all of its user's."""
        if not self.all_documents:
            return self.documents.all()
        everything: models.QuerySet[Document] = Document.objects.visible_to(self.user_id)
        return everything


class ConversationDocument(models.Model):
    """A document that a conversation is grounded in."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE)
    document = models.ForeignKey(Document, on_delete=models.CASCADE)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["conversation", "document"], name="document_once_a_conversation"
            )
        ]

    def __str__(self) -> str:
        return f"{self.document_id} in {self.conversation_id}"


class MessageQuerySet(models.QuerySet["Message"]):
    """Sets of messages."""

    def with_all_it_rests_on(self) -> "MessageQuerySet":
        """With citations, feedback and the query, in two database queries."""
        joined = self.select_related("retrieval", "feedback")
        return joined.defer("retrieval__candidates").prefetch_related("citations")


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

    class Grounding(models.TextChoices):
        """How far an answer rests on the documents."""

        ANSWERED = "answered"
        PARTIAL = "partial"
        NO_EVIDENCE = "no_evidence"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(
        Conversation, on_delete=models.CASCADE, related_name="messages"
    )
    position = models.PositiveIntegerField(help_text="From 0, in order.")
    role = models.CharField(max_length=10, choices=Role)
    status = models.CharField(max_length=10, choices=Status, default=Status.COMPLETED)
    content = models.TextField(blank=True)
    model = models.CharField(max_length=100, blank=True)
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
    context = models.JSONField(
        default=dict, blank=True, help_text="What the prompt held and what was left out."
    )
    started_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[Any] = MessageQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["conversation", "position"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["conversation", "position"], name="message_in_order")
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.position}"

    @property
    def total_tokens(self) -> int:
        """All that the answer took, the writing of its searches included."""
        return self.prompt_tokens + self.completion_tokens + self.rewrite_tokens

    def is_under_way(self) -> bool:
        """False once it is older than the longest answer can take, so its process has died."""
        attempts = settings.GROQ_MAX_RETRIES + 1
        seconds = (settings.GROQ_TIMEOUT_SECONDS + 10) * attempts + settings.GROQ_REWRITE_SECONDS
        longest = timedelta(seconds=seconds)
        return self.started_at is not None and timezone.now() - self.started_at < longest

    def begin_again(self) -> None:
        """From failed back to pending, with nothing left of the former attempt."""
        self.status, self.started_at = self.Status.PENDING, timezone.now()
        self.content = self.error_code = self.error = self.grounding = ""
        self.citations.all().delete()
        Retrieval.objects.filter(message=self).delete()
        self.save()

    def mark_failed(self, code: str, detail: str, content: str = "") -> None:
        """The answer failed; what had been said of it is kept."""
        self.status, self.error_code, self.error = self.Status.FAILED, code, detail
        self.content = content
        self.duration_ms = self._elapsed()
        # No other field: what an attempt to save left in them may be why it failed.
        fields = ["status", "error_code", "error", "content", "duration_ms"]
        Message.objects.filter(pk=self.pk).update(**{name: getattr(self, name) for name in fields})

    def complete(self, content: str, citations: Sequence["Citation"]) -> None:
        """The answer is whole; saved with its citations, in one transaction.

        Raises Message.DoesNotExist where the conversation was deleted meanwhile.
        """
        self.status, self.content = self.Status.COMPLETED, content
        self.duration_ms = self._elapsed()
        with transaction.atomic():
            if not self._save_unless_deleted():
                raise Message.DoesNotExist
            # A document deleted since the search leaves its quote, and must not come back.
            cited = {one.document_id for one in citations if one.document_id}
            locked = Document.objects.select_for_update(no_key=True).filter(pk__in=cited)
            there = set(locked.order_by("pk").values_list("pk", flat=True)) if cited else set()
            for citation in citations:
                if citation.document_id not in there:
                    citation.document_id = None
            Citation.objects.bulk_create(citations)

    def _save_unless_deleted(self) -> bool:
        """Saves what there still is to save; False where it was deleted meanwhile."""
        with transaction.atomic():
            there = Message.objects.select_for_update().filter(pk=self.pk).exists()
            if there:
                self.save(force_update=True)
        return there

    def _elapsed(self) -> int | None:
        """Milliseconds since the answer was begun."""
        if self.started_at is None:
            return None
        return int((timezone.now() - self.started_at).total_seconds() * 1000)


class Citation(models.Model):
    """The passage that an answer's [n] stands for, as it was when it was cited."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="citations")
    number = models.PositiveIntegerField(help_text="The n of [n] in the answer.")
    document = models.ForeignKey(
        Document, on_delete=models.SET_NULL, null=True, related_name="citations"
    )
    chunk_id = models.UUIDField()
    document_name = models.CharField(max_length=NAME_CHARS)
    section = models.CharField(max_length=NAME_CHARS, blank=True)
    page = models.PositiveIntegerField()
    char_start = models.PositiveIntegerField(help_text="Where the quote begins in the page's text.")
    char_end = models.PositiveIntegerField()
    quote = models.TextField()
    score = models.FloatField(help_text="Comparable within one answer.")
    verified = models.BooleanField(
        default=False, help_text="When saved, the quote stood at its place in the page's text."
    )

    class Meta:
        ordering: ClassVar = ["message", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["message", "number"], name="citation_once_an_answer")
        ]

    def __str__(self) -> str:
        return f"[{self.number}] {self.document_name}, page {self.page}"


class Retrieval(models.Model):
    """What was searched for before an answer, and what became of each candidate."""

    message = models.OneToOneField(
        Message, on_delete=models.CASCADE, primary_key=True, related_name="retrieval"
    )
    question = models.TextField(help_text="As the user asked it.")
    query = models.TextField(help_text="What was searched for, in one text.")
    searches = models.JSONField(help_text="Each search as a list of texts with their weights.")
    query_rewriting = models.CharField(max_length=10, help_text="As the conversation had it.")
    rewriting = models.CharField(max_length=10, help_text="What the searches came from.")
    rewrite_model = models.CharField(max_length=100, blank=True)
    rewrite_prompt_tokens = models.PositiveIntegerField(default=0)
    rewrite_completion_tokens = models.PositiveIntegerField(default=0)
    rewrite_failure = models.CharField(max_length=40, blank=True)
    rewrite_ms = models.PositiveIntegerField(default=0)
    limit = models.PositiveIntegerField(help_text="Passages wanted.")
    candidates = models.JSONField()
    duration_ms = models.PositiveIntegerField(help_text="Of the search.")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.query


class FeedbackQuerySet(models.QuerySet["Feedback"]):
    """Sets of feedback."""

    def questions(self, user_id: UUID | None) -> "FeedbackQuerySet":
        """Rated down, with the right document and page: of one user, or of all.

        Each has a `question`: what was searched for, or else what was asked. One query.
        """
        wrong = self.filter(rating=Feedback.Rating.DOWN, document__isnull=False, page__isnull=False)
        if user_id is not None:
            wrong = wrong.filter(message__conversation__user_id=user_id)
        asked = Message.objects.filter(
            conversation=OuterRef("message__conversation"),
            position=OuterRef("message__position") - 1,
        )
        question = Coalesce("message__retrieval__query", Subquery(asked.values("content")))
        return wrong.annotate(question=question).select_related("document").order_by("created_at")


class Feedback(models.Model):
    """What the user thought of an answer, and where the right one stands."""

    class Rating(models.TextChoices):
        """Thumbs up or down."""

        UP = "up"
        DOWN = "down"

    message = models.OneToOneField(
        Message, on_delete=models.CASCADE, primary_key=True, related_name="feedback"
    )
    rating = models.CharField(max_length=4, choices=Rating)
    comment = models.TextField(blank=True)
    document = models.ForeignKey(
        Document,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="feedback",
        help_text="Where the right answer stands.",
    )
    page = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects: ClassVar[Any] = FeedbackQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-updated_at"]
        verbose_name_plural = "feedback"

    def __str__(self) -> str:
        return self.rating
