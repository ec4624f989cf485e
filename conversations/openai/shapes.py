"""Bodies in the shapes that OpenAI's clients read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from re import compile as pattern
from typing import Any

from conversations.openai.serializers import ALL_DOCUMENTS
from documents.models import Document
from llm import catalogue

MARK = pattern(r"\[(\d{1,3})\]")
# What clients know; an answer that was cancelled ends as if it had been whole.
FINISH_REASONS = ("stop", "length", "content_filter")
FILE_STATUS = {
    Document.Status.PENDING: "uploaded",
    Document.Status.PROCESSING: "uploaded",
    Document.Status.READY: "processed",
    Document.Status.FAILED: "error",
}
OWNED_BY = "groq"
# Of every file, whatever it was uploaded for.
PURPOSE = "assistants"
LISTED_SINCE = int(datetime.combine(catalogue.PRICES_AS_OF, time(), UTC).timestamp())


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer and each chunk of it begin with. `created` is in seconds since 1970."""

    id: str
    created: int
    model: str
    conversation_id: str

    def completion(self, answer: dict[str, Any], base_url: str) -> dict[str, Any]:
        """The whole answer; `answer` is the body of its message in our own API."""
        message = {
            "role": "assistant",
            "content": answer["content"],
            "refusal": None,
            "annotations": list(annotations(answer, base_url)),
        }
        return {
            **self._members("chat.completion"),
            "model": answer["model"] or self.model,
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": finish_reason(answer),
                }
            ],
            "usage": usage(answer),
        }

    def chunk(
        self, delta: dict[str, Any], reason: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """A piece of the answer; the last one has a `reason`."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return {**self._members("chat.completion.chunk"), "choices": [choice], **more}

    def usage_chunk(self, answer: dict[str, Any]) -> dict[str, Any]:
        """What the answer took, after its end."""
        return {**self._members("chat.completion.chunk"), "choices": [], "usage": usage(answer)}

    def _members(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "conversation_id": self.conversation_id,
        }


def finish_reason(answer: dict[str, Any]) -> str:
    """Why the model stopped, as far as clients know the word."""
    reason: str = answer["finish_reason"]
    return reason if reason in FINISH_REASONS else "stop"


def usage(answer: dict[str, Any]) -> dict[str, Any]:
    """What the answer itself took; what writing its searches took is told by our own API."""
    took = answer["usage"]
    return {
        "prompt_tokens": took["prompt_tokens"],
        "completion_tokens": took["completion_tokens"],
        "total_tokens": took["prompt_tokens"] + took["completion_tokens"],
        "prompt_tokens_details": {"cached_tokens": took["cached_tokens"]},
    }


def annotations(answer: dict[str, Any], base_url: str) -> Iterator[dict[str, Any]]:
    """One for each [n] of the answer, with its place in characters (code points).

    As OpenAI's chat API has them, with the file beside it as its other APIs name files. The
    address tells the quote with the text around it.
    """
    by_number = {one["number"]: one for one in answer["citations"]}
    for mark in MARK.finditer(answer["content"]):
        if citation := by_number.get(int(mark.group(1))):
            place = {"start_index": mark.start(), "end_index": mark.end()}
            yield {
                "type": "url_citation",
                "url_citation": {
                    **place,
                    "url": f"{base_url}/api/v1/citations/{citation['id']}",
                    "title": f"{citation['document_name']}, page {citation['page']}",
                },
                "file_citation": {
                    **place,
                    "file_id": citation["document_id"],
                    "filename": citation["document_name"],
                    "index": citation["number"],
                    "page": citation["page"],
                    "quote": citation["quote"],
                    "verified": citation["verified"],
                },
            }


def file_body(document: Document) -> dict[str, Any]:
    """A document as a file."""
    return {
        "id": str(document.pk),
        "object": "file",
        "bytes": document.size,
        "created_at": int(document.created_at.timestamp()),
        "filename": document.name,
        "purpose": PURPOSE,
        "status": FILE_STATUS[Document.Status(document.status)],
        "status_details": document.error or None,
    }


def model_body(name: str) -> dict[str, Any]:
    """A model by a name that requests can give."""
    model = catalogue.find(name.removesuffix(ALL_DOCUMENTS))
    return {
        "id": name,
        "object": "model",
        "created": LISTED_SINCE,
        "owned_by": OWNED_BY,
        "context_window": model.context_window,
        "max_completion_tokens": model.max_output,
    }
