"""Small makers of what tests need."""

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from asgiref.sync import async_to_sync
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import AsyncClient, Client
from django.utils import timezone

from botgpt.accounts.models import User
from conversations.models import Citation, Conversation, Message, UsageEntry
from documents.ingestion import ingest
from documents.models import Document

TEXT = """Opening hours

The museum opens at nine and closes at five. On Mondays it is closed.

Tickets

A ticket costs 14.50 euros. Children under six enter free.
"""


def make_user(user_id: UUID | None = None) -> User:
    return User.objects.known_as(user_id or uuid4())


def make_document(user: User, text: str = TEXT, name: str = "museum.txt") -> Document:
    """A document that is read and ready."""
    document, _ = Document.objects.keep(user, name, "txt", ContentFile(text.encode()), ingest)
    document.refresh_from_db()
    return document


def make_pending(user: User, text: str = TEXT) -> Document:
    """A document that no worker has taken up yet."""
    content = ContentFile(text.encode())
    document, _ = Document.objects.keep(user, "late.txt", "txt", content, lambda _: None)
    return document


def make_conversation(user: User, **fields: Any) -> Conversation:
    """A conversation with one question that nobody answered."""
    fields = {"model": "openai/gpt-oss-120b", "mode": "open_chat", **fields}
    documents = fields.pop("documents", [])
    conversation, _, answer = Conversation.objects.open(
        user=user, content="Hello there", documents=documents, **fields
    )
    complete(answer, "Hello.")
    return conversation


def complete(answer: Message, content: str, citations: Sequence[Citation] = ()) -> None:
    """The answer as if a model had given it."""
    answer.status = Message.Status.COMPLETED
    answer.settle(content, citations)


def make_usage(user: User, at: datetime | None = None, **fields: Any) -> UsageEntry:
    """A call of a model that took 100 and 20 tokens: now, unless told when."""
    took = {"prompt_tokens": 100, "completion_tokens": 20, "cost_usd": Decimal("0.0000748")}
    entry = UsageEntry(
        **{"user": user, "purpose": "answer", "model": "openai/gpt-oss-120b", **took, **fields}
    )
    with transaction.atomic():
        entry.enter(at or timezone.now())
    return entry


def upload(api: Client, content: bytes, *, name: str = "museum.txt", **fields: Any) -> Any:
    file = SimpleUploadedFile(name, content)
    return api.post("/api/v1/documents", {"file": file, **fields})


def empty_queue() -> None:
    """Takes out what workers of earlier tests left: their periodic jobs."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")


def post(api: Client, path: str, body: Any = None, **headers: str) -> Any:
    """Posts JSON. A stream is read to its end, in the event loop that it was begun in."""
    return call(api, "POST", path, json.dumps(body), **headers)


def call(api: Client, method: str, path: str, body: str = "", **headers: str) -> Any:
    """A call from within one event loop, as a server makes it; a stream is read to its end."""

    async def within_one_loop() -> Any:
        client = AsyncClient(raise_request_exception=api.raise_request_exception)
        client.cookies = api.cookies
        response = await client.generic(
            method, f"/api/v1{path}", body, "application/json", headers=headers
        )
        if response.streaming:
            response.sent = b"".join([part async for part in response.streaming_content])
        return response

    return async_to_sync(within_one_loop)()


def patch(api: Client, path: str, body: Any) -> Any:
    return api.patch(f"/api/v1{path}", json.dumps(body), "application/json")


def get(api: Client, path: str, **headers: str) -> Any:
    return api.get(f"/api/v1{path}", headers=headers)


def events_of(response: Any) -> list[tuple[str, str, Any]]:
    """The (id, event, data) of a streamed response."""

    text = response.sent.decode()
    found = []
    for block in text.strip().split("\n\n"):
        if block.startswith(":"):  # keeps the connection alive
            continue
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found


def assert_problem(response: Any, status: int, code: str | None = None) -> dict[str, Any]:
    """The body, where the response is a problem detail of that status."""
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["detail"]
    assert body["request_id"] == response.headers["X-Request-ID"]
    if code:
        assert body["code"] == code
    return body
