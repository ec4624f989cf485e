"""Examples that the OpenAPI schema shows."""

from typing import Any

from drf_spectacular.utils import OpenApiExample
from rest_framework.serializers import BaseSerializer

from documents.serializers import EXAMPLE_USER_ID
from documents.views import EXAMPLE as DOCUMENT

STREAMED = (
    "With `stream: true`, or `Accept: text/event-stream`, the answer comes as server-sent events: "
    "`message.created`, `retrieval`, any number of `delta`, then `message.completed` or `error`."
)

# OpenAPI 3.1 has no word for a stream: this is each event of one.
EVENT = {
    "type": "object",
    "description": "One event of the stream. Its `data` is JSON.",
    "required": ["id", "event", "data"],
    "properties": {
        "id": {"type": "string", "description": "For `Last-Event-ID`."},
        "event": {
            "type": "string",
            "enum": ["message.created", "retrieval", "delta", "message.completed", "error"],
        },
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}


def whole_list(example: dict[str, Any]) -> dict[str, Any]:
    """A list of one, all on one page."""
    return {"count": 1, "next": None, "previous": None, "results": [example]}


_NO_SAMPLING: dict[str, Any] = {
    "temperature": None,
    "top_p": None,
    "max_completion_tokens": None,
    "stop": None,
    "seed": None,
    "reasoning_effort": None,
}
_CONVERSATION = {
    "id": "0199f0c3-1f2e-7c11-8a3b-6d5e4f3a2b1c",
    "user_id": EXAMPLE_USER_ID,
    "mode": "grounded_rag",
    "title": "What were net sales of iPhone in 2019?",
    "model": "openai/gpt-oss-120b",
    "system_prompt": "",
    "grounding": "strict",
    "query_rewriting": "model",
    "sampling": {**_NO_SAMPLING, "temperature": 0.2},
    "fallback_models": None,
    "archived": False,
    "document_ids": ["0199f0c2-a1b2-7d3e-8f4a-5b6c7d8e9f00"],
    "message_count": 2,
    "created_at": "2026-11-24T09:31:00Z",
    "updated_at": "2026-11-24T09:31:01Z",
}
_QUESTION: dict[str, Any] = {
    "id": "0199f0c3-1f30-7d02-9b1c-1a2b3c4d5e6f",
    "parent_id": None,
    "sibling_ids": ["0199f0c3-1f30-7d02-9b1c-1a2b3c4d5e6f"],
    "active": True,
    "role": "user",
    "status": "completed",
    "content": "What were net sales of iPhone in 2019?",
    "model": "",
    "sampling": _NO_SAMPLING,
    "finish_reason": "",
    "error": None,
    "citations": [],
    "grounding": None,
    "retrieval": None,
    "feedback": None,
    "usage": None,
    "context": None,
    "duration_ms": None,
    "created_at": "2026-11-24T09:31:00Z",
}
_CITATION = {
    "id": "0199f0c3-1f40-7a04-9d3e-3c4d5e6f7081",
    "number": 1,
    "document_id": "0199f0c2-a1b2-7d3e-8f4a-5b6c7d8e9f00",
    "document_name": "annual-report.pdf",
    "chunk_id": "0199f0c2-b7c4-7a51-9d55-0d3f9a2b4c6d",
    "section": "Products and Services Performance",
    "page": 24,
    "char_start": 310,
    "char_end": 357,
    "quote": "iPhone $ 142,381 (14)% $ 164,888 18 % $ 139,337",
    "score": 11.7,
    "verified": True,
}
_SEARCHED: dict[str, Any] = {
    "query": "What were net sales of iPhone in 2019?",
    "searches": [[{"text": "What were net sales of iPhone in 2019?", "weight": 1.0}]],
    "rewriting": "off",
}
_RECEIPT: dict[str, Any] = {
    "budget": 13952,
    "answer_reserve": 2048,
    "total": 1902,
    "system": {"tokens": 196, "kept": 1, "left_out": 0, "reason": None},
    "summary": {"tokens": 0, "kept": 0, "left_out": 0, "reason": None},
    "history": {"tokens": 0, "kept": 0, "left_out": 0, "reason": None},
    "passages": {"tokens": 1684, "kept": 6, "left_out": 0, "reason": None},
    "question": {"tokens": 22, "kept": 1, "left_out": 0, "reason": None},
    "citations_dropped": 0,
}
_PASSAGE = {
    "chunk_id": _CITATION["chunk_id"],
    "document_id": _CITATION["document_id"],
    "document_name": "annual-report.pdf",
    "page_start": 24,
    "page_end": 24,
    "section": "Products and Services Performance",
    "score": 11.7,
    "text": "2019 Change 2018 Change 2017\niPhone $ 142,381 (14)% $ 164,888 18 % $ 139,337",
}
_ANSWER = {
    **_QUESTION,
    "id": "0199f0c3-1f31-7e03-8c2d-2b3c4d5e6f70",
    "parent_id": _QUESTION["id"],
    "sibling_ids": ["0199f0c3-1f31-7e03-8c2d-2b3c4d5e6f70"],
    "role": "assistant",
    "content": "Net sales of iPhone were $142,381 million in 2019 [1].",
    "model": "openai/gpt-oss-120b",
    "sampling": {**_NO_SAMPLING, "temperature": 0.2},
    "finish_reason": "stop",
    "citations": [_CITATION],
    "grounding": "answered",
    "retrieval": _SEARCHED,
    "usage": {
        "prompt_tokens": 1840,
        "completion_tokens": 21,
        "cached_tokens": 0,
        "rewrite_tokens": 0,
        "total_tokens": 1861,
        "cost_usd": "0.00028860",
    },
    "context": _RECEIPT,
    "duration_ms": 640,
}

CONVERSATION = OpenApiExample("Conversation", value=_CONVERSATION, response_only=True)
CONVERSATION_WITH_MESSAGES = OpenApiExample(
    "Conversation with messages",
    value={**_CONVERSATION, "messages": [_QUESTION, _ANSWER]},
    response_only=True,
)
EXPORT = OpenApiExample(
    "Export",
    value={**_CONVERSATION, "messages": [_QUESTION, _ANSWER]},
    response_only=True,
    media_type="application/json",
)
EXPORT_AS_MARKDOWN = OpenApiExample(
    "Export as Markdown",
    value=(
        "# What were net sales of iPhone in 2019?\n\n"
        "- Begun: 2026-11-24 09:31 UTC\n\n"
        "## User\n\n_2026-11-24 09:31 UTC_\n\nWhat were net sales of iPhone in 2019?\n"
    ),
    response_only=True,
    media_type="text/markdown",
)
MATCH = OpenApiExample(
    "Message that matches",
    value={
        "conversation_id": _CONVERSATION["id"],
        "title": _CONVERSATION["title"],
        "message_id": _ANSWER["id"],
        "role": "assistant",
        "active": True,
        "snippet": _ANSWER["content"],
        "highlights": [[13, 19]],
        "created_at": _ANSWER["created_at"],
    },
    response_only=True,
)
NEW_CONVERSATION = OpenApiExample(
    "Open question",
    value={
        "user_id": EXAMPLE_USER_ID,
        "first_message": "What does a current ratio tell of a company?",
    },
    request_only=True,
)
NEW_GROUNDED_CONVERSATION = OpenApiExample(
    "Grounded question",
    value={
        "user_id": EXAMPLE_USER_ID,
        "first_message": "What were net sales of iPhone in 2019?",
        "mode": "grounded_rag",
        "document_ids": ["0199f0c2-a1b2-7d3e-8f4a-5b6c7d8e9f00"],
    },
    request_only=True,
)
NEW_CONVERSATION_ANSWER = OpenApiExample(
    "Conversation with its first answer",
    value={**_CONVERSATION, "message": _QUESTION, "answer": _ANSWER},
    response_only=True,
    media_type="application/json",
    status_codes=["201"],
)
CHANGE = OpenApiExample(
    "New title and strictness",
    value={"title": "Sales of iPhone", "grounding": "prefer", "query_rewriting": "terms"},
    request_only=True,
)
NEW_MESSAGE = OpenApiExample(
    "Question", value={"content": "And in 2018?"}, request_only=True, media_type="application/json"
)
PREVIEW = OpenApiExample(
    "The exact prompt",
    value={
        "model": "openai/gpt-oss-120b",
        "fallback_models": [],
        "asks_model": True,
        "max_completion_tokens": 2048,
        "messages": [
            {"role": "system", "content": "You are BOT GPT. Answer from the numbered passages..."},
            {"role": "user", "content": "Passages:\n\n[1] ...\n\nQuestion: And in 2018?"},
        ],
        "context": {name: value for name, value in _RECEIPT.items() if name != "citations_dropped"},
        "retrieval": {
            "query": "And in 2018? What were net sales of iPhone in 2019?",
            "searches": [
                [
                    {"text": "And in 2018?", "weight": 1.0},
                    {"text": "What were net sales of iPhone in 2019?", "weight": 0.4},
                ]
            ],
            "rewriting": "terms",
            "model_would_rewrite": True,
            "passages": [_PASSAGE],
        },
    },
    response_only=True,
)
RETRY = OpenApiExample(
    "Once more", value={"stream": False}, request_only=True, media_type="application/json"
)
ANSWER = OpenApiExample("Answer", value=_ANSWER, response_only=True)
TURN = OpenApiExample(
    "Question and answer",
    value={"message": _QUESTION, "answer": _ANSWER},
    response_only=True,
    media_type="application/json",
    status_codes=["201"],
)
CITATION = OpenApiExample(
    "Citation in context",
    value={
        **_CITATION,
        "message_id": _ANSWER["id"],
        "before": "Products and Services Performance\n2019 Change 2018 Change 2017\n",
        "after": "\nMac 25,740 2 % 25,198 (1)% 25,569",
        "document": DOCUMENT.value,
    },
    response_only=True,
)
_CANDIDATE = {
    "chunk_id": _CITATION["chunk_id"],
    "document_id": _CITATION["document_id"],
    "document_name": "annual-report.pdf",
    "section": "Products and Services Performance",
    "page_start": 24,
    "page_end": 24,
    "score": 11.7,
    "outcome": "kept",
}
TRACE = OpenApiExample(
    "Trace",
    value={
        "message_id": _ANSWER["id"],
        "question": "What were net sales of iPhone in 2019?",
        "query": _SEARCHED["query"],
        "searches": _SEARCHED["searches"],
        "settings": {"limit": 6, "query_rewriting": "model"},
        "rewriting": {
            "used": "off",
            "model": "",
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "failure": None,
            "duration_ms": 0,
        },
        "candidates": [_CANDIDATE],
        "duration_ms": 4,
        "created_at": "2026-11-24T09:31:00Z",
    },
    response_only=True,
)
REPLAY = OpenApiExample(
    "More passages", value={"limit": 12, "query_rewriting": "off"}, request_only=True
)
_FOUND = {**_SEARCHED, "limit": 6, "candidates": [_CANDIDATE], "duration_ms": 4}
REPLAYED = OpenApiExample(
    "Comparison",
    value={
        "before": _FOUND,
        "after": {**_FOUND, "limit": 12},
        "gained": [],
        "lost": [],
        "moved": [{"chunk_id": _CITATION["chunk_id"], "rank_before": 2, "rank_after": 1}],
    },
    response_only=True,
)
NEW_FEEDBACK = OpenApiExample(
    "The right page",
    value={
        "rating": "down",
        "comment": "The table has the exact figure.",
        "document_id": _CITATION["document_id"],
        "page": 24,
    },
    request_only=True,
)
FEEDBACK = OpenApiExample(
    "Rating",
    value={
        "rating": "down",
        "comment": "The table has the exact figure.",
        "document_id": _CITATION["document_id"],
        "page": 24,
        "created_at": "2026-11-24T09:32:00Z",
        "updated_at": "2026-11-24T09:32:00Z",
    },
    response_only=True,
)
EVENTS = OpenApiExample(
    "Events",
    value=(
        "id: 0199f0c3-1f31-7e03-8c2d-2b3c4d5e6f70:3\n"
        'event: delta\ndata: {"text": "Net sales of iPhone"}\n\n'
    ),
    response_only=True,
    media_type="text/event-stream",
    status_codes=["2XX"],
)
_USED = {
    "calls": 12,
    "answers": 9,
    "prompt_tokens": 18400,
    "completion_tokens": 1950,
    "cached_tokens": 6400,
    "total_tokens": 20350,
    "cost_usd": "0.01239650",
}
USAGE = OpenApiExample(
    "Usage by day",
    value={
        "count": 1,
        "next": None,
        "previous": None,
        "results": [{"day": "2026-11-24", **_USED}],
        "total": _USED,
    },
    response_only=True,
)
BUDGET = OpenApiExample(
    "Daily budget",
    value=whole_list(
        {
            "whose": "user",
            "id": EXAMPLE_USER_ID,
            "period": "day",
            "tokens": {"limit": 50000, "spent": 20350, "remaining": 29650},
            "usd": None,
            "resets_at": "2026-11-25T00:00:00Z",
        }
    ),
    response_only=True,
)
MODEL = OpenApiExample(
    "Model",
    value=whole_list(
        {
            "name": "openai/gpt-oss-120b",
            "aliases": [],
            "default": True,
            "available": True,
            "context_window": 131072,
            "max_output": 65536,
            "prompt_price": "0.1500",
            "cached_price": "0.0750",
            "completion_price": "0.6000",
            "prices_as_of": "2026-11-24",
            "reasoning_efforts": ["low", "medium", "high"],
            "input_modalities": ["text"],
            "successor": None,
        }
    ),
    response_only=True,
)


def answered(serializer: type[BaseSerializer[Any]]) -> dict[Any, Any]:
    """The responses of a call that answers: a body, or a stream of events."""
    return {
        (201, "application/json"): serializer,
        # It is 200. As a range it comes after 201, so that a call tried out asks for JSON.
        ("2XX", "text/event-stream"): EVENT,
    }
