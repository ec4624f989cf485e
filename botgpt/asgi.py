"""The ASGI application that gunicorn serves."""

import asyncio
import gc
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

from asgiref.sync import ThreadSensitiveContext
from django.conf import settings
from django.core.asgi import get_asgi_application

from llm import catalogue, tokens

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "botgpt.settings")

served = get_asgi_application()

from django.core.handlers.asgi import ASGIRequest  # noqa: E402 - models exist from here on
from django.core.signals import request_started  # noqa: E402
from django.db import DatabaseError, close_old_connections, reset_queries  # noqa: E402
from django.utils.http import parse_header_parameters  # noqa: E402

from botgpt import observing  # noqa: E402
from botgpt.api.bodies import within_limits  # noqa: E402
from conversations import live, provider  # noqa: E402
from conversations.database import in_database  # noqa: E402
from conversations.models import Message, WebProcess  # noqa: E402
from documents.lifetimes import search_beside  # noqa: E402
from documents.operations import operations  # noqa: E402


class Request(ASGIRequest):
    """A request in UTF-8, whatever its Content-Type says.

    Django would let any codec of Python's read it, `zlib` too, and fail where that is none for
    text: before there is a request that could be answered.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        try:
            kind, parameters = parse_header_parameters(meta.get("CONTENT_TYPE", ""))
        except ValueError:  # of an encoding that there is not
            kind, parameters, meta["CONTENT_TYPE"] = "", {}, ""
        parameters.pop("charset", None)
        self.content_type, self.content_params = kind, parameters


served.request_class = Request

logger = logging.getLogger("botgpt.web")

observing.begin()

search_beside(answers=0)

# Both would give each request a thread that it keeps to its end. Connections go back to their pool
# when they have been used, so at a request's start there is nothing to close or forget.
request_started.disconnect(close_old_connections)
request_started.disconnect(reset_queries)


# Django gives each request a thread of its own for what is sync, if only to close its response.
# These are kept instead, and each request has one of them, which others may have too.
THREADS = cycle([ThreadPoolExecutor(1, thread_name_prefix="request") for _ in range(32)])


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Requests, and the server's own start and end."""
    if scope["type"] != "lifespan":
        async with ThreadSensitiveContext(executor=next(THREADS)):
            await within_limits(served, scope, receive, send)
        return
    await receive()
    await _begin()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    # Where no signal has given answers their time, there is none.
    live.answers().interrupt_after(0)
    await live.answers().ended()
    await send({"type": "lifespan.shutdown.complete"})


async def _begin() -> None:
    """Ends the answers of processes that died here; others are found by their leases.

    And reads what the first question would have to wait for.
    """
    try:
        await in_database(WebProcess.objects.bury_the_dead)
        await in_database(Message.objects.interrupt_orphans)
    except DatabaseError:
        logger.warning("the database does not answer yet", exc_info=True)
    # Together they take most of a second, which the first question would wait for.
    await asyncio.to_thread(provider.answering)
    await asyncio.to_thread(tokens.estimate, "", catalogue.find(settings.GROQ_MODEL))
    await asyncio.to_thread(operations)
    # What was loaded is put out of sight of each search for dead objects.
    gc.collect()
    gc.freeze()
