"""Views whose POST may be sent twice, with an `Idempotency-Key`, and is done once."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db import Error
from django.http.response import HttpResponseBase
from django.utils.datastructures import MultiValueDict
from rest_framework.exceptions import ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from documents.connections import give_connection_back
from documents.exceptions import MadeAndDeleted
from documents.idempotency import IdempotentCall
from documents.lifetimes import untie
from documents.operations import StrictView

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEY = re.compile(r"[!-~]{1,255}")
# What of a response's head belongs to what was done.
KEPT_HEADERS = ("Location",)
UUID_CHARS = 36


class Replayed(Exception):
    """The call was made before: it is answered as it was then."""


class Repeatable(StrictView):
    """A view whose POST is done once for each key of a caller."""

    takes_key = True
    # The call under way, where it came with a key, until what became of it is saved.
    call: IdempotentCall | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Claims the key before the handler runs. Raises KeyReused or CallUnderWay."""
        super().initial(request, *args, **kwargs)
        key = request.headers.get(HEADER)
        if request.method != "POST" or key is None or not self.takes_key:
            return
        if self.call is not None:  # a view that waits for something is admitted more than once
            return
        if not KEY.fullmatch(key):
            raise ValidationError({HEADER: ["Give 1 to 255 visible ASCII characters."]})
        caller: Any = request.auth
        self.call = IdempotentCall.objects.claim(caller.identity, key, digest(request))
        if self.call.status is not None:
            raise Replayed

    def handle_exception(self, exc: Exception) -> Response:
        """A call that failed may be made again with its key; one that was made is replayed."""
        call, self.call = self.call, None
        if call is not None and isinstance(exc, Replayed):
            self.headers[REPLAYED] = "true"
            kept: Any = call.body
            if kept is None:
                return super().handle_exception(MadeAndDeleted())
            return Response(kept["data"], call.status, headers=kept["headers"])
        if call is not None and not call.begun:
            with suppress(Error):  # its age gives it up, where the database is away
                call.give_up()
        return super().handle_exception(exc)

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        """Keeps what was answered, where that has not been done yet; it needs no database then."""
        try:
            self.keep(response)
        except Error as error:
            response = self.handle_exception(error)
        # A client may take minutes to receive the response.
        give_connection_back()
        final = super().finalize_response(request, response, *args, **kwargs)
        untie(self, final)
        return final

    def keep(self, response: HttpResponseBase) -> None:
        """Saves what the call under way is answered with; one that cannot be saved is given up."""
        call, self.call = self.call, None
        if call is None or call.begun:
            return
        if not isinstance(response, Response) or response.status_code >= 300:
            call.give_up()
            return
        data = json.loads(JSONRenderer().render(response.data) or "null")
        headers = {name: response[name] for name in KEPT_HEADERS if name in response}
        asked = [self.kwargs, self.request.query_params.dict(), self.request.data]
        about = set(_ids([*asked, data]))
        call.keep(response.status_code, {"data": data, "headers": headers}, about)


def digest(request: Request) -> str:
    """SHA-256 of what is asked: method, address and body.

    Of the body as it was read: the same form has another boundary each time it is sent.
    """
    data = request.data
    if isinstance(data, MultiValueDict):
        data = {name: [_value(one) for one in values] for name, values in data.lists()}
    asked = [request.method, request.get_full_path(), data]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _ids(data: Any) -> Iterator[UUID]:
    """Every UUID that stands somewhere in this by itself."""
    if isinstance(data, dict):
        data = [*data.values()]
    if isinstance(data, list):
        for one in data:
            yield from _ids(one)
    elif isinstance(data, UUID):
        yield data
    elif isinstance(data, str) and len(data) == UUID_CHARS:
        with suppress(ValueError):
            yield UUID(data)


def _value(value: Any) -> Any:
    """A form's value as JSON has it: of a file its name and the SHA-256 of its content."""
    if not isinstance(value, UploadedFile):
        return value
    content = hashlib.sha256()
    for piece in value.chunks():
        content.update(piece)
    value.seek(0)
    return {"name": value.name, "sha256": content.hexdigest()}
