"""What a call made goes with its end, and is not left to Python's search for dead objects.

A search stops everything: half a second where thousands of calls left something to it.
"""

import gc
from typing import Any

from django.http.response import HttpResponseBase
from rest_framework.response import Response
from rest_framework.views import APIView

# Python's default looks for dead cycles after every 700 objects that stay, and then among all of
# them. A call makes tens of thousands, nearly all of which go at once; a list leaves some hundred.
OBJECTS_BETWEEN_SEARCHES = 50_000
# An answer under way has about 500, and more with a long history.
OBJECTS_AN_ANSWER = 700


def search_beside(answers: int) -> None:
    """Lets Python search where more objects stay than those of so many answers under way.

    A search among the objects of five hundred answers takes a fifth of a second.
    """
    gc.set_threshold(OBJECTS_BETWEEN_SEARCHES + OBJECTS_AN_ANSWER * answers, 20, 20)


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
