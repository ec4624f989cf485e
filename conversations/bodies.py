"""What the API answers with: turns, answers and searches as data."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from conversations.answer_serializers import RetrievalSerializer
from conversations.database import in_database
from conversations.evidence import SCORE_DIGITS
from conversations.models import Conversation, Message, Retrieval
from conversations.serializers import (
    ConversationSerializer,
    MessageSerializer,
    PassageSerializer,
)
from conversations.turn import Turn
from documents.models import Chunk
from llm.ranking import Outcome

# Made once: a serializer copies all its fields when it is made, which takes longer than its work.
_conversation, _message = ConversationSerializer(), MessageSerializer()
_retrieval, _passages = RetrievalSerializer(), PassageSerializer(many=True)


async def told_turn(turn: Turn, opened: bool) -> dict[str, Any]:
    """The body of a turn, without a thread where all of it is at hand."""
    if turn.question.knows_all and turn.answer.knows_all:
        return turn_body(turn, opened)
    return await in_database(turn_body, turn, opened)


async def told_message(message: Message) -> Any:
    """The body of a message, without a thread where all of it is at hand."""
    return message_body(message) if message.knows_all else await in_database(message_body, message)


def turn_body(turn: Turn, opened: bool) -> dict[str, Any]:
    """Question and answer; with their conversation where the turn opened it."""
    pair = {"message": message_body(turn.question), "answer": message_body(turn.answer)}
    return conversation_body(turn.conversation) | pair if opened else pair


def conversation_body(conversation: Conversation) -> dict[str, Any]:
    """A conversation without its messages; no database query where it is new."""
    if not hasattr(conversation, "message_count"):
        conversation = Conversation.objects.with_message_count().get(pk=conversation.pk)
    return dict(_conversation.to_representation(conversation))


def message_body(message: Message) -> Any:
    """A message with its citations; no database query where all of it is at hand."""
    return _message.to_representation(message) if message.knows_all else answer_body(message.pk)


def answer_body(answer_id: UUID) -> Any:
    """A message as it is stored."""
    return _message.to_representation(Message.objects.with_all_it_rests_on().get(pk=answer_id))


def retrieval_body(turn: Turn) -> dict[str, Any]:
    """What was searched for, and the passages that the prompt holds."""
    searched = _retrieval.to_representation(turn.retrieval) if turn.retrieval else {}
    passages = [replace(one, score=round(one.score, SCORE_DIGITS)) for one in turn.passages]
    return {**searched, "passages": _passages.to_representation(passages)}


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
    searched = _retrieval.to_representation(retrieval)
    return {**searched, "passages": _passages.to_representation(passages)}
