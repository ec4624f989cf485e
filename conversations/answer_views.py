"""What an answer rests on: its citations, its search, and what the user thinks of it."""

from typing import Any, ClassVar
from uuid import UUID

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import evidence, examples, rewriting
from conversations.answer_serializers import (
    CitationInContextSerializer,
    FeedbackSerializer,
    NewFeedbackSerializer,
    ReplayedSerializer,
    ReplaySerializer,
    TraceSerializer,
)
from conversations.models import AuditEntry, Citation, Conversation, Feedback, Message, Retrieval
from conversations.rewriting import Searches
from documents.models import Page
from documents.serializers import find_documents
from documents.views import USER_ID, Scoped
from llm.retrieval import Query

CONTEXT_CHARS = 400
# Of staff, for what shows more of the documents than an answer itself does.
WITH_DOCUMENTS = ("conversations.view_conversation", "documents.view_document")


class CitationDetail(Scoped):
    """One citation."""

    resource = "conversations"
    permissions: ClassVar = {"GET": WITH_DOCUMENTS}

    @extend_schema(
        operation_id="get_citation",
        summary="A citation with the text around it and its document",
        parameters=[USER_ID],
        responses=CitationInContextSerializer,
        examples=[examples.CITATION],
    )
    def get(self, request: Request, pk: UUID) -> Response:
        """What was quoted stays readable when the document is gone."""
        visible = Citation.objects.visible_to(self.user_scope())
        joined = visible.select_related("document", "message__conversation")
        citation: Any = get_object_or_404(joined, pk=pk)
        citation.message.conversation.note(AuditEntry.Action.VIEWED, self.caller.actor)
        citation.before, citation.after = Page.objects.around(citation, CONTEXT_CHARS)
        return Response(CitationInContextSerializer(citation).data)


class OfMessage(Scoped):
    """Something of one message, by the addresses of its conversation and of itself."""

    resource = "conversations"

    def find_message(self) -> Message:
        """One that the caller may see, else a 404."""
        visible = Message.objects.visible_to(self.user_scope())
        found: Message = get_object_or_404(
            visible.select_related("conversation", *self.also_joined),
            conversation_id=self.kwargs["pk"],
            pk=self.kwargs["message_id"],
        )
        return found

    def read_message(self) -> Message:
        """The same, for a call that tells what it says."""
        message = self.find_message()
        self.note_reading(message)
        return message

    def note_reading(self, message: Message) -> None:
        """Tells the audit trail."""
        message.conversation.note(AuditEntry.Action.VIEWED, self.caller.actor)

    also_joined: tuple[str, ...] = ()


class MessageTrace(OfMessage):
    """The retrieval trace of an answer."""

    also_joined = ("retrieval",)

    @extend_schema(
        operation_id="get_trace",
        summary="What was searched for before an answer, and what became of each candidate",
        parameters=[USER_ID],
        responses=TraceSerializer,
        examples=[examples.TRACE],
    )
    def get(self, request: Request, pk: UUID, message_id: UUID) -> Response:
        """Answers of open chat have none."""
        return Response(TraceSerializer(_trace(self.read_message())).data)


class MessageReplay(OfMessage):
    """The search of an answer, made anew."""

    reads = Scoped.reads | {"POST"}
    permissions: ClassVar = {"POST": WITH_DOCUMENTS}
    also_joined = ("retrieval", "parent")

    @extend_schema(
        operation_id="replay_search",
        summary="Search anew for an answer, without a model, and compare",
        description=(
            "What is left out is as it was: without `query_rewriting` the very same searches are "
            "made, those of a model too. Nothing is stored. `gained`, `lost` and `moved` compare "
            "the candidates that a prompt would hold."
        ),
        parameters=[USER_ID],
        request=ReplaySerializer,
        responses=ReplayedSerializer,
        examples=[examples.REPLAY, examples.REPLAYED],
    )
    def post(self, request: Request, pk: UUID, message_id: UUID) -> Response:
        """200: nothing is made."""
        options = ReplaySerializer(data=request.data)
        options.is_valid(raise_exception=True)
        message = self.read_message()
        trace = _trace(message)
        again = _replayed(message, trace, **options.validated_data)
        before = _side(trace)
        body = {
            "before": before,
            "after": again,
            **evidence.difference(before["candidates"], again["candidates"]),
        }
        return Response(ReplayedSerializer(body).data)


class MessageFeedback(OfMessage):
    """What the user thinks of an answer."""

    permissions: ClassVar = {
        "PUT": ("conversations.add_feedback", "conversations.change_feedback"),
        "DELETE": ("conversations.delete_feedback",),
    }

    @extend_schema(
        operation_id="rate_answer",
        summary="Rate an answer",
        description=(
            "Once more replaces it. Thumbs down with the document and page that hold the right "
            "answer becomes a question for `manage.py evaluate`."
        ),
        parameters=[USER_ID],
        request=NewFeedbackSerializer,
        responses=FeedbackSerializer,
        examples=[examples.NEW_FEEDBACK, examples.FEEDBACK],
    )
    def put(self, request: Request, pk: UUID, message_id: UUID) -> Response:
        """Answers alone are rated."""
        new = NewFeedbackSerializer(data=request.data)
        new.is_valid(raise_exception=True)
        message = self.find_message()
        if message.role != Message.Role.ASSISTANT:
            raise serializers.ValidationError("Only an answer can be rated, not a question.")
        fields = dict(new.validated_data)
        _check_place(message, fields["document_id"], fields["page"])
        feedback, _ = Feedback.objects.update_or_create(message=message, defaults=fields)
        return Response(FeedbackSerializer(feedback).data)

    @extend_schema(
        operation_id="withdraw_rating",
        summary="Withdraw the rating of an answer",
        parameters=[USER_ID],
        responses={204: None},
    )
    def delete(self, request: Request, pk: UUID, message_id: UUID) -> Response:
        """404 where there is none."""
        get_object_or_404(Feedback, message=self.find_message()).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


def _trace(message: Message) -> Retrieval:
    """The message's trace, else a 404."""
    trace: Retrieval | None = getattr(message, "retrieval", None)
    if trace is None:
        raise Http404
    return trace


def _replayed(
    message: Message,
    trace: Retrieval,
    *,
    limit: int | None = None,
    query_rewriting: str | None = None,
    document_ids: list[UUID] | None = None,
) -> dict[str, Any]:
    """What the search finds now. Raises ValidationError for documents of another user."""
    conversation = message.conversation
    if document_ids:
        scope = [document.pk for document in find_documents(conversation.user_id, document_ids)]
    else:
        scope = list(conversation.searched_documents().values_list("pk", flat=True))
    searches = _searches_of(trace)
    if query_rewriting:
        wanted = Conversation.Rewriting(query_rewriting)
        before = rewriting.exchanges(message.parent) if message.parent else []
        searches = rewriting.by_terms(trace.question, before, wanted)
    limit = limit or trace.limit
    found = evidence.find(searches, scope, limit)
    return {
        "query": searches.query,
        "searches": evidence.searches_as_data(searches),
        "rewriting": searches.rewriting,
        "limit": limit,
        "candidates": evidence.candidates_as_data(found),
        "duration_ms": found.milliseconds,
    }


def _searches_of(trace: Retrieval) -> Searches:
    """The searches as they were made."""
    queries = tuple(
        Query(tuple((part["text"], part["weight"]) for part in search)) for search in trace.searches
    )
    return Searches(trace.query, queries, Conversation.Rewriting(trace.rewriting))


def _side(trace: Retrieval) -> dict[str, Any]:
    """The side of a replay that the trace holds."""
    names = ("query", "searches", "rewriting", "limit", "candidates", "duration_ms")
    return {name: getattr(trace, name) for name in names}


def _check_place(message: Message, document_id: UUID | None, page: int | None) -> None:
    """Raises ValidationError where the user has no such document, or it has no such page."""
    if document_id is None:
        return
    user_id = message.conversation.user_id
    try:
        [document] = find_documents(user_id, [document_id])
    except serializers.ValidationError as error:
        raise serializers.ValidationError(
            {"document_id": ["This user has no such document."]}
        ) from error
    if page is not None and page > document.page_count:
        text = f"The document has {document.page_count} pages."
        raise serializers.ValidationError({"page": [text]})
