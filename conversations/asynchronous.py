"""REST framework views whose handlers may be async, for the calls that wait on a model.

REST framework's own dispatch is sync: it would tie a thread to every answer under way. Its
parts (authentication, parsing, errors) stay as they are; sync handlers run in a thread.
"""

from typing import Any, cast

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from conversations.database import in_database


class EventStreamRenderer(JSONRenderer):
    """Lets a client ask for `text/event-stream`."""

    media_type = "text/event-stream"
    format = "events"


class AsyncAPIView(APIView):
    """An APIView that awaits its async handlers."""

    # Django would refuse a view that has handlers of both kinds.
    view_is_async = True

    def get_renderers(self) -> list[BaseRenderer]:
        """JSON; events from the handlers that are async, which answer."""
        handler = getattr(self, (self.request.method or "").lower(), None)
        streams = iscoroutinefunction(handler)
        return [JSONRenderer(), EventStreamRenderer()] if streams else [JSONRenderer()]

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """As APIView.dispatch, with its database work in a thread."""
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        try:
            await in_database(lambda: self.initial(self.request, *args, **kwargs))
            response = await self._handle(self.request, *args, **kwargs)
        except Exception as error:
            response = await in_database(self.handle_exception, error)
        # The base's annotation names REST framework's Response; it takes any of Django's.
        self.response: Any = self.finalize_response(
            self.request, cast(Response, response), **kwargs
        )
        return self.response

    async def _handle(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        handler = getattr(self, (request.method or "").lower(), self.http_method_not_allowed)
        if iscoroutinefunction(handler):
            response: HttpResponseBase = await handler(request, *args, **kwargs)
            return response
        return await in_database(lambda: handler(request, *args, **kwargs))
