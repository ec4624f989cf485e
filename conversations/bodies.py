"""What the API answers with: turns, answers and searches as data."""

from typing import Any
from uuid import UUID

from conversations.answer_serializers import RetrievalSerializer
from conversations.models import Conversation, Message, Retrieval
from conversations.serializers import (
    ConversationSerializer,
    MessageSerializer,
    PassageSerializer,
)
from conversations.turn import Turn
from documents.models import Chunk
from llm.ranking import Outcome


def turn_body(turn: Turn, opened: bool) -> dict[str, Any]:
    """Question and answer; with their conversation where the turn opened it."""
    body: dict[str, Any] = {}
    if opened:
        conversation = Conversation.objects.with_message_count().get(pk=turn.conversation.pk)
        body = dict(ConversationSerializer(conversation).data)
    # As the rows are, so that reply, stream and history say the same.
    pair = Message.objects.filter(pk__in=[turn.question.pk, turn.answer.pk]).order_by("position")
    question, answer = MessageSerializer(pair.with_all_it_rests_on(), many=True).data
    return body | {"message": question, "answer": answer}


def answer_body(answer_id: UUID) -> Any:
    """The answer alone."""
    answer = Message.objects.with_all_it_rests_on().get(pk=answer_id)
    return MessageSerializer(answer).data


def retrieval_body(turn: Turn) -> dict[str, Any]:
    """What was searched for, and the passages that the prompt holds."""
    searched = RetrievalSerializer(turn.retrieval).data if turn.retrieval else {}
    return {**searched, "passages": PassageSerializer(turn.passages, many=True).data}


def stored_retrieval_body(answer_id: UUID) -> dict[str, Any]:
    """The same of an earlier turn, from its trace; a passage that is deleted has no text."""
    retrieval = Retrieval.objects.filter(message=answer_id).first()
    if retrieval is None:
        return {"passages": []}
    kept = [one for one in retrieval.candidates if one["outcome"] == Outcome.KEPT.value]
    texts = dict(
        Chunk.objects.filter(pk__in=[one["chunk_id"] for one in kept]).values_list("pk", "text")
    )
    passages = [one | {"text": texts.get(UUID(one["chunk_id"]), "")} for one in kept]
    searched = RetrievalSerializer(retrieval).data
    return {**searched, "passages": PassageSerializer(passages, many=True).data}
