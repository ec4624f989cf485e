"""Requests that bring the whole chat along, as exchanges of ordinary conversations."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import OuterRef, Subquery

from conversations.history import STEP
from conversations.models import Conversation, Message
from conversations.models.conversation import TITLE_WORDS, Asking
from conversations.openai.errors import UnknownFile
from conversations.openai.serializers import Asked
from conversations.turn import Turn
from documents.models import Document
from documents.serializers import as_uuid

# Among so many of the user's latest conversations the one is looked for that a request goes on.
LATEST = 20


def begin(user: Any, asked: Asked, documents: Sequence[Document], asking: Asking) -> Turn:
    """Saves the question, and the answer to come.

    In the conversation that the request goes on with, where one of the latest says just what the
    request says was said; else in a new one, which begins with that.
    """
    with transaction.atomic():
        if conversation := _continued(user, asked, documents):
            return Turn(conversation, *conversation.ask(asked.question, asking))
    history = asked.history[_first_kept(len(asked.history)) :]
    return Turn(
        *Conversation.objects.open(
            user=user,
            content=asked.question,
            documents=documents,
            asking=asking,
            history=history,
            # Not asked for, so no model is paid to find a better one.
            title=_title(history[0].content if history else asked.question),
            mode=_mode(asked),
            model=asked.model,
            system_prompt=asked.system_prompt,
        )
    )


def find_files(user: Any, file_ids: Sequence[str]) -> list[Document]:
    """That user's documents of these ids. Raises UnknownFile."""
    found = []
    if ids := [pk for pk in map(as_uuid, file_ids) if pk]:
        found = list(Document.objects.visible_to(user.pk).filter(pk__in=ids))
    known = {document.pk for document in found}
    if missing := [pk for pk in file_ids if as_uuid(pk) not in known]:
        raise UnknownFile(f"There is no such file: {', '.join(missing[:5])}.")
    return found


def _continued(user: Any, asked: Asked, documents: Sequence[Document]) -> Conversation | None:
    """The conversation that a request goes on with, locked; None where there is none."""
    if not asked.history:
        return None
    newest = Message.objects.filter(conversation=OuterRef("pk"), active=True).order_by("-position")
    latest = Conversation.objects.visible_to(user.pk).order_by("-updated_at", "-id")
    alike = Conversation.objects.filter(
        pk__in=latest.values("pk")[:LATEST],
        mode=_mode(asked),
        system_prompt=asked.system_prompt,
        all_documents=not documents,
        archived=False,
    ).annotate(said=Subquery(newest.values("content")[:1]))
    chosen = {document.pk for document in documents}
    for pk in alike.filter(said=asked.history[-1].content).values_list("pk", flat=True):
        # Locked before it is compared: another request may be going on with it right now.
        free = Conversation.objects.select_for_update(no_key=True, skip_locked=True)
        conversation: Conversation | None = free.filter(pk=pk).first()
        if conversation and _says(conversation, asked) and _reads(conversation, chosen):
            return conversation
    return None


def _says(conversation: Conversation, asked: Asked) -> bool:
    """Whether it says what the request says was said, no more and no less."""
    shown = list(conversation.messages.shown().values_list("role", "content"))
    return shown == [(one.role, one.content) for one in asked.history]


def _reads(conversation: Conversation, chosen: set[UUID]) -> bool:
    return set(conversation.documents.values_list("pk", flat=True)) == chosen


def _first_kept(said: int) -> int:
    """From which message on a new conversation keeps what was said.

    No prompt reads more, and for many requests it is the same message.
    """
    return max(0, said // STEP - 1) * STEP


def _title(text: str) -> str:
    return " ".join(text.split()[:TITLE_WORDS])


def _mode(asked: Asked) -> Conversation.Mode:
    return Conversation.Mode.GROUNDED_RAG if asked.grounded else Conversation.Mode.OPEN_CHAT
