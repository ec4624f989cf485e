"""No user reaches what is another's, by whichever call of the schema and whichever place in it.

The calls are those of the schema as it is generated, each with what its parameters and its last
example say. Where the walk cannot fill a place, or the owner's own call fails, its test fails: a
new route has to be told in PLACES or READY.
"""

import io
import json
import re
import zipfile
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import AsyncClient
from drf_spectacular.generators import SchemaGenerator

from botgpt.accounts.models import APIKey, User
from conversations.models import Citation, Conversation, Feedback, Message, UsageEntry
from documents.models import Document
from tests.factories import make_document, make_usage, make_user, post

SCHEMA: dict[str, Any] = SchemaGenerator().get_schema(public=True)
pytestmark = pytest.mark.django_db

METHODS = {"get", "post", "put", "patch", "delete"}
OPERATIONS = [
    (method, path, operation)
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
    if method in METHODS
]

# What stands where an object of somebody is named: in an address after the word before it, else by
# the name of the parameter or field.
PLACES = {
    "conversations/": lambda ids: ids["conversation"],
    "messages/": lambda ids: ids["message"],
    "citations/": lambda ids: ids["citation"],
    "documents/": lambda ids: ids["document"],
    "files/": lambda ids: ids["document"],
    "users/": lambda ids: ids["user"],
    "user_id": lambda ids: ids["user"],
    "X-User-ID": lambda ids: ids["user"],
    "user": lambda ids: ids["user"],
    "document_id": lambda ids: ids["document"],
    "document_ids": lambda ids: [ids["document"]],
    "documents": lambda ids: [ids["document"]],
    "file_ids": lambda ids: [ids["document"]],
    "after": lambda ids: ids["document"],
    "Last-Event-ID": lambda ids: f"{ids['message']}:1",
    "messages": lambda ids: [{"role": "user", "content": _parts(ids["document"])}],
}
# Addresses that name what is nobody's, and values of fields that name nothing.
SHARED = {"models/": "openai/gpt-oss-20b", "pages/": 1}
VALUES = {"query": "ticket", "page": 1}
# Where another's id changes nothing: a user's own key acts for its owner in OpenAI's API, and the
# last two tell only from where on to list or to stream.
IGNORED = {"X-User-ID", "user", "after", "Last-Event-ID"}
# What no user may do with a key of their own.
FOR_SERVICE_KEYS = {"forget_user"}
# Where a call asks for something else than an answer that is there.
READY = {
    "edit_question": lambda ids: {"message": ids["question"]},
    "retry_answer": lambda ids: _answer_is("failed", ids),
    "cancel_answer": lambda ids: _answer_is("pending", ids),
}


def _parts(document_id: str) -> list[Any]:
    file = {"type": "file", "file": {"file_id": document_id}}
    return [{"type": "text", "text": "What does a ticket cost?"}, file]


def _answer_is(status: str, ids: dict[str, str]) -> dict[str, str]:
    Message.objects.filter(pk=ids["message"]).update(status=status, process=None, started_at=None)
    return {}


@dataclass
class Somebody:
    """A user with one of everything, all of which bears a word of theirs."""

    word: str
    user: User = field(default_factory=make_user)
    cookies: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        text = f"{self.word} museum\n\nA ticket of the {self.word} museum costs 14.50 euros."
        document = make_document(self.user, text, name=f"{self.word}.txt")
        _, secret = APIKey.objects.issue(self.word, self.user)
        self.headers = {"Authorization": f"Bearer {secret}"}
        asked = {
            "first_message": f"What does a ticket of the {self.word} museum cost?",
            "mode": "grounded_rag",
            "document_ids": [str(document.pk)],
        }
        body = post(client(), "/conversations", asked, **self.headers).json()
        Feedback.objects.create(message_id=body["answer"]["id"], rating="up", comment=self.word)
        make_usage(self.user)
        self.ids = {
            "user": str(self.user.pk),
            "document": str(document.pk),
            "conversation": body["id"],
            "question": body["message"]["id"],
            "message": body["answer"]["id"],
            "citation": body["answer"]["citations"][0]["id"],
        }

    def rows(self) -> Any:
        """All that is theirs."""
        of_messages = {"message__conversation__user": self.user}
        found = [
            model.objects.filter(**whose).order_by("pk").values()
            for model, whose in (
                (Conversation, {"user": self.user}),
                (Message, {"conversation__user": self.user}),
                (Citation, of_messages),
                (Feedback, of_messages),
                (Document, {"user": self.user}),
                (UsageEntry, {"user": self.user}),
            )
        ]
        return [list(one) for one in found]


def client() -> AsyncClient:
    return AsyncClient(raise_request_exception=False)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").removeprefix("#/components/schemas/")
    return SCHEMA["components"]["schemas"][name] if name else schema


def names_objects(schema: Any) -> bool:
    """Whether an id can stand in it, however deep."""
    if isinstance(schema, list):
        return any(map(names_objects, schema))
    if not isinstance(schema, dict):
        return False
    there = resolved(schema)
    return there.get("format") == "uuid" or any(map(names_objects, there.values()))


@dataclass
class Call:
    """A call of the schema, and the places in it where an object of somebody is named."""

    method: str
    path: str
    operation: dict[str, Any]

    def __post_init__(self) -> None:
        self.name = self.operation["operationId"]
        self.places: list[tuple[str, str]] = []
        self.kinds: dict[tuple[str, str], str] = {}
        self.shared: dict[str, Any] = {}
        for before, name in re.findall(r"(\w+/){(\w+)}", self.path):
            if before in SHARED:
                self.shared[name] = SHARED[before]
            else:
                self.add("path", name, before)
        assert len(self.places) + len(self.shared) == self.path.count("{")
        self.filled: dict[tuple[str, str], Any] = {}
        for one in self.operation.get("parameters", []):
            if one["in"] != "path":
                self.add_if_needed(one["in"], one["name"], one["schema"], one.get("required"))
        content = self.operation.get("requestBody", {}).get("content", {})
        self.kind, body = next(iter(content.items()), ("", {}))
        self.example = {}
        if self.kind == "application/json":
            self.example = deepcopy(list(body["examples"].values())[-1]["value"])
        for name, schema in resolved(body.get("schema", {})).get("properties", {}).items():
            in_example = name in self.example
            is_file = schema.get("format") == "binary"
            self.add_if_needed("body", name, schema, (in_example and name in VALUES) or is_file)

    def add_if_needed(self, where: str, name: str, schema: Any, required: Any) -> None:
        named_so = re.search(r"[_-]ids?$", name, re.IGNORECASE)
        if name in PLACES or named_so or names_objects(schema):
            self.add(where, name, name)
        elif schema.get("format") == "binary":
            self.filled[where, name] = None  # a new one each time: a file is read once
        elif required:
            assert name in VALUES, f"{self.name}: tell in VALUES what to put in {name}"
            self.filled[where, name] = VALUES[name]

    def add(self, where: str, name: str, place: str) -> None:
        assert place in PLACES, f"{self.name}: tell in PLACES what to put in {name}"
        self.places.append((where, name))
        self.kinds[where, name] = place

    def ids(self, somebody: Somebody) -> dict[str, str]:
        """Theirs, made ready for this call."""
        return somebody.ids | READY.get(self.name, lambda ids: {})(somebody.ids)

    def send(self, caller: Somebody, ids: Any, headers: Any = None) -> Any:
        """With the ids that `ids` gives for each place."""
        parts: dict[str, dict[str, Any]] = {one: {} for one in ("path", "query", "header", "body")}
        for (where, name), value in self.filled.items():
            file = SimpleUploadedFile("new.txt", b"The park opens at nine.")
            parts[where][name] = file if value is None else value
        for place in self.places:
            where, name = place
            parts[where][name] = PLACES[self.kinds[place]](ids(place))
        address = self.path.format(**self.shared, **parts["path"])
        options = {"headers": {**caller.headers, **parts["header"], **(headers or {})}}
        options["query_params"] = parts["query"]

        async def within_one_loop() -> Any:
            http = client()
            http.cookies.load(caller.cookies)
            if self.kind == "multipart/form-data":
                response = await http.post(address, parts["body"], **options)
            else:
                data = json.dumps(self.example | parts["body"]) if self.kind else ""
                method = self.method.upper()
                response = await http.generic(method, address, data, "application/json", **options)
            response.told = await body_of(response)
            return response

        return async_to_sync(within_one_loop)()

    def tried(self, caller: Somebody, ids: Any) -> Any:
        """Sent, and undone."""
        with transaction.atomic():
            response = self.send(caller, ids)
            transaction.set_rollback(True)
        return response


async def body_of(response: Any) -> str:
    if not response.streaming:
        return response.content.decode()
    if not response.is_async:
        return response.getvalue().decode()
    content = b"".join([part async for part in response.streaming_content])
    return unpacked(content) if content.startswith(b"PK") else content.decode()


def unpacked(archive: bytes) -> str:
    """The names and the content of all files in it."""
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        return "\n".join(f"{name}\n{files.read(name).decode()}" for name in files.namelist())


def assert_nothing_of(owner: Somebody, response: Any, sent: set[str]) -> None:
    """Neither a word of theirs nor an id that the caller did not know."""
    assert owner.word not in response.told
    assert not [one for one in owner.ids.values() if one in response.told and one not in sent]


def test_another_users_objects_are_not_found(settings):
    settings.OPEN_ACCESS = False
    owner, other = Somebody("Quokkadale"), Somebody("Wombatville")
    refusals = []
    for method, path, operation in OPERATIONS:
        with transaction.atomic():
            try:
                walk(Call(method, path, operation), owner, other)
            except AssertionError as error:
                refusals.append(f"{method} {path}: {error}")
            transaction.set_rollback(True)

    assert not refusals, "\n\n".join(refusals)
    assert len(OPERATIONS) > 40


def test_a_route_that_cannot_be_filled_is_no_pass():
    unknown = {"operationId": "new", "parameters": []}
    with pytest.raises(AssertionError, match="tell in PLACES what to put in shelf_id"):
        Call("get", "/api/v1/shelves/{shelf_id}", unknown)
    number = {"in": "query", "name": "depth", "schema": {"type": "integer"}, "required": True}
    with pytest.raises(AssertionError, match="tell in VALUES what to put in depth"):
        Call("get", "/api/v1/shelves", {**unknown, "parameters": [number]})


def walk(call: Call, owner: Somebody, other: Somebody) -> None:
    """What this call must refuse, and then what it must not."""
    theirs, own, nobodys = call.ids(owner), call.ids(other), dict.fromkeys(owner.ids, str(uuid4()))
    sent, before = set(theirs.values()), owner.rows()

    everything = call.tried(other, lambda place: theirs)
    assert_nothing_of(owner, everything, sent)
    # The whole address of the owner's object, where nothing else gives it away.
    address = call.tried(other, lambda place: theirs if place[0] == "path" else own)
    assert_nothing_of(owner, address, sent)
    if any(where == "path" for where, _ in call.places):
        assert (everything.status_code, address.status_code) == (404, 404)
    for one in call.places:
        refused = call.tried(other, lambda place, one=one: theirs if place == one else own)
        assert_nothing_of(owner, refused, sent)
        if _says_whose(one):
            assert refused.status_code == 404, one
            continue
        unknown = call.tried(other, lambda place, one=one: nobodys if place == one else own)
        assert refused.status_code == unknown.status_code, one
        assert one[1] in IGNORED or refused.status_code in (400, 404), one
    assert owner.rows() == before

    # The same call is the owner's to make, and it is another's too with objects of their own.
    key = {"Idempotency-Key": "the-same"}
    owners = call.send(owner, lambda place: theirs, key)
    if call.name in FOR_SERVICE_KEYS:
        assert owners.status_code == 403
        return
    assert 200 <= owners.status_code < 300, owners.told
    others = call.send(other, lambda place: own, key)
    assert others.status_code == owners.status_code, others.told
    assert_nothing_of(owner, others, set())


def _says_whose(place: tuple[str, str]) -> bool:
    """Whether the place says whose, or which; others choose among the caller's documents."""
    return place[0] == "path" or place[1] == "user_id"
