"""Conversations: what they answer from, and how their trees of messages grow."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db import connection, models, transaction
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from uuid_utils.compat import uuid7

from conversations.exceptions import AnswerUnderWay, NothingToRetry, NotThatRole
from conversations.models.audit import SYSTEM, Actor, AuditEntry
from conversations.models.insertion import insert_together
from conversations.models.match import MOST_CONVERSATIONS, Matches, Words
from conversations.models.message import Message, note_known
from conversations.models.usage import Limit
from documents import admin_log
from documents.models import Document, IdempotentCall
from documents.ownership import OwnedQuerySet
from llm.messages import ChatMessage

TITLE_CHARS = 200
TITLE_WORDS = 10
# Conversations that are deleted in one transaction at most.
MOST_AT_ONCE = 200

# The messages above a message, itself, and below it the newest child of each.
PATH = """
WITH RECURSIVE above AS (
    SELECT id, parent_id FROM conversations_message WHERE id = %(message)s
    UNION ALL
    SELECT parent.id, parent.parent_id
    FROM above JOIN conversations_message AS parent ON parent.id = above.parent_id
), below AS (
    SELECT %(message)s::uuid AS id
    UNION ALL
    SELECT child.id FROM below, LATERAL (
        SELECT id FROM conversations_message WHERE parent_id = below.id ORDER BY id DESC LIMIT 1
    ) AS child
)
SELECT id FROM above UNION SELECT id FROM below
"""

# All that follows a message moves up by one, for when it is deleted; not shown meanwhile, since no
# two messages of one position may be active even for a moment.
MOVE_UP = """
WITH RECURSIVE below AS (
    SELECT id FROM conversations_message WHERE parent_id = %(message)s
    UNION ALL
    SELECT child.id
    FROM below JOIN conversations_message AS child ON child.parent_id = below.id
)
UPDATE conversations_message SET position = position - 1, active = false
WHERE id IN (SELECT id FROM below)
"""


class ConversationQuerySet(OwnedQuerySet["Conversation"]):
    """Sets of conversations."""

    def remove(self, actor: Actor = SYSTEM) -> int:
        """Deletes these with all that belongs to them and what names them; how many there were.

        In one transaction, in which the audit trail is told by whom.
        """
        with transaction.atomic():
            rows = self.select_for_update(of=("self",)).order_by("pk")
            owners = dict(rows.values_list("pk", "user_id"))
            IdempotentCall.objects.wipe(list(owners))
            admin_log.erase(Conversation, list(owners))
            Conversation.objects.filter(pk__in=owners).delete()
            for user_id in set(owners.values()):
                ids = [pk for pk, owner in owners.items() if owner == user_id]
                AuditEntry.objects.record(actor, AuditEntry.Action.DELETED, user_id, ids)
        return len(owners)

    def first_with(self, most: int) -> dict[UUID, int]:
        """The first of these that have so many messages together, or one that has more.

        Each with its number of messages; MOST_AT_ONCE at most, by one query.
        """
        chosen: dict[UUID, int] = {}
        counts = Message.objects.filter(conversation=OuterRef("pk")).order_by()
        count = Subquery(counts.values("conversation").annotate(n=Count("pk")).values("n"))
        rows = self.annotate(all_messages=Coalesce(count, 0)).values_list("pk", "all_messages")
        for pk, messages in rows[:MOST_AT_ONCE]:
            if chosen and sum(chosen.values()) + messages > most:
                break
            chosen[pk] = messages
        return chosen

    def with_message_count(self) -> "ConversationQuerySet":
        """Adds `message_count`, of the active path, whose positions have no gaps."""
        shown = Message.objects.filter(conversation=OuterRef("pk"), active=True)
        last = Subquery(shown.order_by("-position").values("position")[:1])
        return self.annotate(message_count=Coalesce(last + 1, 0))

    def titled(self, words: Words) -> models.QuerySet[Any, UUID]:
        """The ids of those whose titles have the words, in any order."""
        title = SearchVector("title", config="simple")
        query = SearchQuery(words.tsquery, config="simple", search_type="raw")
        found = self.annotate(words=title).filter(words=query) if words.tsquery else self.none()
        return found.order_by().values_list("pk", flat=True)

    def matches(self, words: Words, user_id: UUID, *, every_branch: bool) -> Matches:
        """Titles and messages of that user in this set that have the words; one query so far."""
        last = self.visible_to(user_id).order_by("-updated_at", "-id")
        ids = list(last.values_list("pk", flat=True)[:MOST_CONVERSATIONS])
        return Matches(words, user_id, ids, every_branch)

    def open(
        self,
        *,
        user: Any,
        content: str,
        documents: Sequence[Document],
        asking: "Asking | None" = None,
        history: Sequence[ChatMessage] = (),
        **fields: Any,
    ) -> tuple["Conversation", Message, Message]:
        """A new conversation with its first question and the answer to come.

        `history` is what was said before, elsewhere.
        """
        given, asking = fields.pop("title", ""), asking or Asking()
        title = given or " ".join(content.split()[:TITLE_WORDS])
        conversation = self.model(
            user=user,
            title=title[:TITLE_CHARS],
            title_due=not given and bool(settings.GROQ_API_KEY),
            all_documents=not documents,
            **fields,
        )
        said = conversation.new_history(history)
        last = said[-1] if said else None
        question, answer = conversation.new_turn(last, len(said), content, asking)
        created = AuditEntry.of(
            asking.actor, AuditEntry.Action.CREATED, conversation.user_id, conversation.pk
        )
        together = transaction.atomic() if documents or asking.call_id else nullcontext()
        with together:
            insert_together([conversation], [*said, question, answer], [created])
            if documents:
                conversation.documents.set(documents)
            asking.tie(answer)
        vars(conversation)["message_count"] = len(history) + 2
        note_known(conversation, "documents", documents)
        return conversation, question, answer


@dataclass(frozen=True, slots=True)
class Asking:
    """How an answer is asked for: its options, the process that gives it, who asks and who pays.

    The user pays, and the key in `charged_to`; `limits` are the budgets of both.
    `call_id` is that of the IdempotentCall, where the question came with a key.
    """

    sampling: dict[str, Any] | None = None
    process: UUID | None = None
    charged_to: tuple[UUID, ...] = ()
    call_id: int | None = None
    limits: tuple[Limit, ...] = ()
    actor: Actor = SYSTEM

    def tie(self, answer: Message) -> None:
        """Says, in the transaction that saves it, that the call asked for this answer.

        Raises CallUnderWay where another took the call over meanwhile.
        """
        if self.call_id is not None:
            about = [answer.conversation.user_id, answer.conversation_id]
            IdempotentCall.objects.tie(self.call_id, answer.pk, about)


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
    sampling = models.JSONField(default=dict, blank=True, help_text="Options of its answers.")
    fallback_models = ArrayField(
        models.CharField(max_length=100),
        null=True,
        blank=True,
        help_text="Asked in this order where the model cannot answer; empty means the setting's.",
    )
    title_due = models.BooleanField(
        default=False, help_text="Nobody has named it: a model will, after the first answer."
    )
    summary_due = models.BooleanField(
        default=False, help_text="Turns have left the window that the summary does not cover yet."
    )
    summary = models.TextField(blank=True, help_text="Of the turns that left the window.")
    summarised_through = models.UUIDField(
        null=True, blank=True, help_text="The last message that the summary covers."
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
            models.Index(fields=["id"], name="conversation_untitled", condition=Q(title_due=True)),
            models.Index(fields=["id"], name="conversation_to_fold", condition=Q(summary_due=True)),
            GinIndex(SearchVector("title", config="simple"), name="conversation_words"),
        ]

    def __str__(self) -> str:
        return self.title

    def note(self, action: AuditEntry.Action, actor: Actor) -> None:
        """Tells the audit trail what that one does to it."""
        AuditEntry.objects.record(actor, action, self.user_id, [self.pk])

    def remove(self, actor: Actor) -> None:
        """Deletes it with its messages, and tells the audit trail by whom."""
        Conversation.objects.filter(pk=self.pk).remove(actor)

    def ask(self, content: str, asking: Asking | None = None) -> tuple[Message, Message]:
        """Appends a question and the answer to come. Raises AnswerUnderWay."""
        with transaction.atomic():
            last = self._lock()
            position = last.position + 1 if last else 0
            turn = self.add_turn(last, position, content, asking or Asking())
            self._touch()
        return turn

    def new_history(self, said: Sequence[ChatMessage]) -> list[Message]:
        """The messages that it begins with, not saved yet."""
        messages: list[Message] = []
        for position, one in enumerate(said):
            parent = messages[-1] if messages else None
            new = {"role": one.role, "content": one.content, "position": position}
            messages.append(self._new_message(parent=parent, **new))
        return messages

    def _new_message(self, **fields: Any) -> Message:
        return Message(conversation=self, user_id=self.user_id, **fields)

    def add_turn(
        self, parent: Message | None, position: int, content: str, asking: Asking
    ) -> tuple[Message, Message]:
        """A question under `parent` and the answer to come, within a transaction."""
        question, answer = self.new_turn(parent, position, content, asking)
        insert_together([question, answer])
        asking.tie(answer)
        return question, answer

    def next_turn(self, content: str, asking: Asking) -> tuple[Message, Message]:
        """The turn that `ask` would append, which is not saved."""
        last = self.messages.shown().last()
        position = last.position + 1 if last else 0
        return self.new_turn(last, position, content, asking)

    def new_turn(
        self, parent: Message | None, position: int, content: str, asking: Asking
    ) -> tuple[Message, Message]:
        """A question and the answer to come, not saved yet."""
        question = self._new_message(
            parent=parent,
            position=position,
            role=Message.Role.USER,
            content=content,
        )
        return question.stands_alone(), self._answer_to(question, asking).stands_alone()

    def _answer_to(self, question: Message, asking: Asking) -> Message:
        """An answer to come, not saved yet."""
        answer = self._new_message(
            parent=question,
            position=question.position + 1,
            role=Message.Role.ASSISTANT,
            status=Message.Status.PENDING,
            sampling=self.sampling | (asking.sampling or {}),
            process=asking.process,
            charged_to=list(asking.charged_to),
            started_at=timezone.now(),
        )
        answer.limits = asking.limits
        return answer

    def ask_again(self, answer_id: UUID, asking: Asking | None = None) -> tuple[Message, Message]:
        """Takes up an answer that was broken off. Raises NothingToRetry unless it is the newest."""
        asking = asking or Asking()
        with transaction.atomic():
            answer = self._lock()
            if answer is None or answer.pk != answer_id or answer.status not in Message.BROKEN_OFF:
                raise NothingToRetry()
            question = _question_of(answer)
            answer.charged_to, answer.limits = list(asking.charged_to), asking.limits
            answer.sampling |= asking.sampling or {}
            answer.begin_again(asking.process)
            asking.tie(answer)
        return question, answer

    def regenerate(self, answer_id: UUID, asking: Asking | None = None) -> tuple[Message, Message]:
        """Another answer beside this one, on the active path from now on.

        Raises Message.DoesNotExist, AnswerUnderWay, or NotThatRole for what is no answer.
        """
        asking = asking or Asking()
        with transaction.atomic():
            self._lock()
            former = self.messages.select_related("parent").get(pk=answer_id)
            if former.role != Message.Role.ASSISTANT:
                raise NotThatRole("Only an answer can be given anew: edit the question instead.")
            question = _question_of(former)
            self._show(question)
            self._leave_from(former.position)
            answer = self._answer_to(question, asking)
            answer.save(force_insert=True)
            asking.tie(answer)
            self._touch()
        return question, answer

    def edit(
        self, question_id: UUID, content: str, asking: Asking | None = None
    ) -> tuple[Message, Message]:
        """The question in other words beside the former, on the active path from now on.

        Raises Message.DoesNotExist, AnswerUnderWay, or NotThatRole for what is no question.
        """
        with transaction.atomic():
            self._lock()
            former = self.messages.select_related("parent").get(pk=question_id)
            if former.role != Message.Role.USER:
                raise NotThatRole("Only a question can be edited: regenerate the answer instead.")
            if former.parent:
                self._show(former.parent)
            self._leave_from(former.position)
            question, answer = self.add_turn(
                former.parent, former.position, content, asking or Asking()
            )
            del vars(question)["sibling_ids"]  # there are others
            self._touch()
        return question, answer

    def activate(self, message_id: UUID) -> None:
        """Makes the branch of this message the active path, down to its newest answer.

        Raises Message.DoesNotExist or AnswerUnderWay.
        """
        with transaction.atomic():
            self._lock()
            self._show(self.messages.get(pk=message_id))
            self._touch()

    def delete_message(self, message_id: UUID) -> None:
        """Deletes one message; what follows it moves up.

        Raises Message.DoesNotExist or AnswerUnderWay.
        """
        with transaction.atomic():
            leaf = self._lock()
            message = self.messages.get(pk=message_id)
            self._forget_summary_of(message)
            with connection.cursor() as cursor:
                cursor.execute(MOVE_UP, {"message": message.pk})
            message.children.update(parent=message.parent_id)
            IdempotentCall.objects.wipe([message.pk])
            message.delete()  # which takes the id from `message`
            if leaf is None or leaf.pk == message_id:
                leaf = message.parent or self.messages.filter(position=0).order_by("-pk").first()
            if leaf is not None:
                self._show(leaf)
            self._touch()

    def _forget_summary_of(self, message: Message) -> None:
        """What is deleted must not live on in the summary, whichever branch that is of."""
        self.refresh_from_db(fields=["summarised_through"])
        if self.summarised_through is None:
            return
        through = self.messages.filter(pk=self.summarised_through)
        if through.filter(position__gte=message.position).exists():
            self.summary, self.summarised_through = "", None
            self.save(update_fields=["summary", "summarised_through"])

    def _show(self, message: Message) -> None:
        """Makes the path through this message active, by its newest children down to the end."""
        with connection.cursor() as cursor:
            cursor.execute(PATH, {"message": message.pk})
            path = [pk for (pk,) in cursor.fetchall()]
        # In two steps: no two messages of one position may be active even for a moment.
        self.messages.filter(active=True).exclude(pk__in=path).update(active=False)
        self.messages.filter(active=False, pk__in=path).update(active=True)

    def _leave_from(self, position: int) -> None:
        """Takes the messages from this position on off the active path."""
        self.messages.filter(active=True, position__gte=position).update(active=False)

    def _touch(self) -> None:
        self.save(update_fields=["updated_at"])

    def settle_orphans(self) -> int:
        """Ends answers whose process died, so that none is shown as still to come; how many."""
        settled: int = self.messages.interrupt_orphans()
        return settled

    def _lock(self) -> Message | None:
        """The newest message of the path, with the conversation locked until the transaction ends.

        Raises AnswerUnderWay.
        """
        Conversation.objects.select_for_update(no_key=True).get(pk=self.pk)
        if pending := self.messages.filter(status=Message.Status.PENDING).first():
            if not self.messages.orphaned().filter(pk=pending.pk).exists():
                raise AnswerUnderWay()
            pending.interrupt()
        last: Message | None = self.messages.shown().last()
        return last

    def searched_documents(self) -> models.QuerySet[Document]:
        """Those it is grounded in: the chosen ones, or all of its user's."""
        if not self.all_documents:
            return self.documents.all()
        everything: models.QuerySet[Document] = Document.objects.visible_to(self.user_id)
        return everything


def _question_of(answer: Message) -> Message:
    """What an answer answers. Raises NothingToRetry where it was deleted."""
    if answer.parent is None or answer.parent.role != Message.Role.USER:
        raise NothingToRetry("The question of this answer was deleted: ask it again.")
    return answer.parent


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
