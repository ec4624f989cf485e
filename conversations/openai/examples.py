"""Examples that the OpenAPI schema shows."""

import json
from typing import Any

from drf_spectacular.utils import OpenApiExample

_FILE_ID = "0199f0c2-a1b2-7d3e-8f4a-5b6c7d8e9f00"
_FILE = {
    "id": _FILE_ID,
    "object": "file",
    "bytes": 796040,
    "created_at": 1795512600,
    "filename": "annual-report.pdf",
    "purpose": "assistants",
    "status": "processed",
    "status_details": None,
}
_MODEL = {
    "id": "openai/gpt-oss-20b",
    "object": "model",
    "created": 1795478400,
    "owned_by": "groq",
    "context_window": 131072,
    "max_completion_tokens": 65536,
}
_USAGE = {
    "prompt_tokens": 1834,
    "completion_tokens": 21,
    "total_tokens": 1855,
    "prompt_tokens_details": {"cached_tokens": 0},
}
_PLACE = {"start_index": 44, "end_index": 47}
_ANNOTATION = {
    "type": "url_citation",
    "url_citation": {
        **_PLACE,
        "url": "/api/v1/citations/0199f0c3-1f50-7b05-8e4f-4d5e6f708192",
        "title": "annual-report.pdf, page 24",
    },
    "file_citation": {
        **_PLACE,
        "file_id": _FILE_ID,
        "filename": "annual-report.pdf",
        "index": 1,
        "page": 24,
        "quote": "Net sales of iPhone were $142.4 billion in 2019.",
        "verified": True,
    },
}
_HEAD: dict[str, Any] = {
    "id": "chatcmpl-0199f0c3-1f40-7a04-9d3e-3c4d5e6f7081",
    "created": 1795512661,
    "model": "openai/gpt-oss-20b",
    "conversation_id": "0199f0c3-1f2e-7c11-8a3b-6d5e4f3a2b1c",
}


def _chunk(delta: dict[str, Any], reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
    body = {**_HEAD, "object": "chat.completion.chunk", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n"


CHAT = OpenApiExample(
    "Chat",
    value={
        "model": "openai/gpt-oss-20b",
        "messages": [
            {"role": "system", "content": "Answer in one sentence."},
            {"role": "user", "content": "What is a leap year?"},
        ],
    },
    request_only=True,
)
GROUNDED_CHAT = OpenApiExample(
    "Grounded in a file",
    value={
        "model": "openai/gpt-oss-20b",
        "messages": [{"role": "user", "content": "What were net sales of iPhone in 2019?"}],
        "documents": [{"id": _FILE_ID}],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    request_only=True,
)
COMPLETION = OpenApiExample(
    "Answer",
    value={
        **_HEAD,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Net sales of iPhone were $142.4 billion [1].",
                    "refusal": None,
                    "annotations": [_ANNOTATION],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": _USAGE,
    },
    response_only=True,
    status_codes=["200"],
    media_type="application/json",
)
# Each event of the stream; the last is `[DONE]`.
CHUNK = {
    "type": "object",
    "description": "One event of the stream: a chunk as JSON, and at the end `[DONE]`.",
    "required": ["data"],
    "properties": {"data": {"type": "string"}},
}
CHUNKS = OpenApiExample(
    "Chunks",
    value="".join(
        [
            _chunk({"role": "assistant", "content": ""}),
            _chunk({"content": "Net sales of iPhone were $142.4 billion [1]."}),
            _chunk({"annotations": [_ANNOTATION]}, "stop"),
            "data: [DONE]\n\n",
        ]
    ),
    response_only=True,
    status_codes=["200"],
    media_type="text/event-stream",
)
MODEL = OpenApiExample("Model", value=_MODEL, response_only=True)
MODELS = OpenApiExample(
    "Models",
    value={"object": "list", "data": [_MODEL, _MODEL | {"id": "openai/gpt-oss-20b:documents"}]},
    response_only=True,
)
FILE = OpenApiExample("File", value=_FILE, response_only=True)
FILES = OpenApiExample(
    "Files",
    value={
        "object": "list",
        "data": [_FILE],
        "first_id": _FILE_ID,
        "last_id": _FILE_ID,
        "has_more": False,
    },
    response_only=True,
)
DELETED = OpenApiExample(
    "Deleted", value={"id": _FILE_ID, "object": "file", "deleted": True}, response_only=True
)
