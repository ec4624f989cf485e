"""REST framework views for the calls that wait on a model.

REST framework's own dispatch is sync: it would tie a thread to every answer under way. Here its
parts (authentication, parsing, errors) and the handler run in a thread, and what the handler
returns is responded to without one.
"""

import asyncio
from typing import Any, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.response import Response

from conversations.database import in_database
from documents.repeats import Repeatable


class EventStreamRenderer(JSONRenderer):
    """Lets a client ask for `text/event-stream`."""

    media_type = "text/event-stream"
    format = "events"


class AsyncAPIView(Repeatable):
    """An APIView that may wait after its handler. A handler may be async too."""

    # Django would refuse a view that has handlers of both kinds.
    view_is_async = True
    # The methods whose answers may be events.
    streams = frozenset({"POST"})

    def get_renderers(self) -> list[BaseRenderer]:
        """JSON; events where the method may answer with them."""
        both = self.request.method in self.streams
        return [JSONRenderer(), EventStreamRenderer()] if both else [JSONRenderer()]

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """As APIView.dispatch, with its database work in a thread."""
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        try:
            # A client that leaves stops nothing half way: what is begun is seen through.
            response = await self.respond(await asyncio.shield(self._handled()))
            if self.call is not None:
                await in_database(self.keep, response)
        except Exception as error:
            response = await in_database(self.handle_exception, error)
        # The base's annotation names REST framework's Response; it takes any of Django's.
        self.response: Any = self.finalize_response(
            self.request, cast(Response, response), **kwargs
        )
        return self.response

    async def _handled(self) -> Any:
        """What the handler returns, or the response to its error."""
        try:
            return await self.handle()
        except Exception as error:
            return await in_database(self.handle_exception, error)

    async def handle(self) -> Any:
        """What the handler returns; the caller is made sure of first, in the same thread."""
        name = (self.request.method or "").lower()
        known = name in self.http_method_names
        handler = getattr(self, name if known else "", self.http_method_not_allowed)
        result = await in_database(self._admit_and_call, handler)
        return await result if iscoroutinefunction(handler) else result

    async def respond(self, result: Any) -> HttpResponseBase:
        """The response to what the handler returned; a response of its own stays."""
        response: HttpResponseBase = result
        return response

    def _admit_and_call(self, handler: Any) -> Any:
        self.initial(self.request, *self.args, **self.kwargs)
        # Of an async handler this makes the coroutine alone.
        return handler(self.request, *self.args, **self.kwargs)
