"""What a call made goes with its end, and is not left to Python's search for dead objects.

A search stops everything: half a second where thousands of calls left something to it.
"""

from typing import Any

from django.http.response import HttpResponseBase
from rest_framework.response import Response
from rest_framework.views import APIView


def untie(view: APIView, response: HttpResponseBase) -> None:
    """Undoes what Django and REST framework tie to itself, once the response is made.

    A view keeps its own method as `head`; a request and a response each keep a context that names
    themselves and the view, and through it all that the call was about.
    """
    vars(view).pop("head", None)
    view.request.parser_context.clear()
    if isinstance(response, Response):
        response.add_post_render_callback(_forget_context)


def _forget_context(response: Any) -> None:
    response.renderer_context.clear()
