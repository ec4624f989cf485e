"""All there is of a user as a ZIP file, written while it is read."""

import json
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import RawIOBase
from typing import Any

from rest_framework.utils.encoders import JSONEncoder

from botgpt.accounts.models import APIKey, User
from conversations import export
from documents.models import Document
from documents.serializers import DocumentSerializer

# Rows in memory at a time, and bytes of a file.
ROWS = 500
BLOCK = 1024 * 1024

PROFILE = (
    "id",
    "username",
    "first_name",
    "last_name",
    "email",
    "is_staff",
    "date_joined",
    "last_login",
    *User.BUDGETS,
)
KEY = ("id", "name", "prefix", "created_at", "last_used_at", "revoked_at", *APIKey.BUDGETS)
USAGE = (
    "id",
    "created_at",
    "purpose",
    "model",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "cost_usd",
    "estimated",
    "key_id",
    "conversation_id",
    "message_id",
)

README = """\
All data of one user.

profile.json         name, mail address, dates and budgets
keys.jsonl           API keys, one a line, without their secrets
usage.jsonl          what models were asked for and what it cost, one call a line
conversations/       a file each: settings, and all messages of all branches with citations, search,
                     usage and feedback
documents.jsonl      documents, one a line; `file` says where its file is, null where it is lost
documents/           the files as they were uploaded

Each line of a .jsonl file is a JSON object. Times are UTC.
"""


class _Outlet(RawIOBase):
    """What is written and not yet sent; nobody can go back in it."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.waiting += data
        return len(data)

    def take(self) -> bytes:
        taken, self.waiting = bytes(self.waiting), bytearray()
        return taken


def of(user: User) -> Iterator[bytes]:
    """The file, piece by piece. It takes the same memory for much as for little."""
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, parts in _files(user):
            with archive.open(name, "w") as file:
                for part in parts:
                    file.write(part)
                    if len(outlet.waiting) >= BLOCK:
                        yield outlet.take()
            if outlet.waiting:
                yield outlet.take()
    yield outlet.take()


def _files(user: User) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Each file's name, and its content in parts."""
    yield "README.txt", [README.encode()]
    yield "profile.json", [_line({name: getattr(user, name) for name in PROFILE})]
    yield "keys.jsonl", map(_line, user.api_keys.order_by("pk").values(*KEY))
    yield "usage.jsonl", map(_line, _all(user.usage.values(*USAGE)))
    yield from _conversations(user)
    yield from _documents(user)


def _conversations(user: User) -> Iterator[tuple[str, Iterable[bytes]]]:
    for row in _all(user.conversations.values("id")):
        found = user.conversations.with_message_count().prefetch_related("documents")
        if conversation := found.filter(pk=row["id"]).first():
            ids = export.order(conversation, every_branch=True)
            parts = export.as_json(conversation, ids)
            yield f"conversations/{conversation.pk}.json", (part.encode() for part in parts)


def _documents(user: User) -> Iterator[tuple[str, Iterable[bytes]]]:
    yield "documents.jsonl", (_line(_about(one)) for one in _all(user.documents))
    for document in _all(user.documents):
        with suppress(FileNotFoundError), document.file.open("rb") as file:
            yield _place(document), file.chunks(BLOCK)


def _about(document: Document) -> dict[str, Any]:
    place = _place(document) if document.has_file() else None
    return {**DocumentSerializer(document).data, "file": place}


def _place(document: Document) -> str:
    # By id: names may be the same, or mean something to the system that unpacks them.
    return f"documents/{document.pk}.{document.kind}"


def _all(rows: Any) -> Iterator[Any]:
    """Every row, ROWS in memory at a time, and no transaction or cursor between."""
    rest = rows.order_by("pk")
    while page := list(rest[:ROWS]):
        yield from page
        last = page[-1]
        rest = rows.order_by("pk").filter(pk__gt=last["id"] if isinstance(last, dict) else last.pk)


def _line(data: Any) -> bytes:
    return json.dumps(data, cls=JSONEncoder, ensure_ascii=False).encode() + b"\n"
