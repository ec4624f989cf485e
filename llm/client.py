"""Groq behind its official SDK, which retries by itself with exponential backoff."""

import asyncio
import logging
import math
import time
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast

import groq
import httpx
import orjson

from llm import catalogue, errors, metrics, replies
from llm.breaker import Breaker, Patience, Watch
from llm.messages import ChatMessage, Completion, Delta, Sampling

logger = logging.getLogger(__name__)

# Groq's own code for "no capacity for your tier now".
FLEX_CAPACITY = 498
# In seconds. A request does not sleep through a longer wait: it is told to the caller.
LONGEST_WAIT = 5
# A day: Groq's longest limits are those of tokens and requests a day.
MOST_WAIT = 24 * 3600
# Groq's codes for a model that it does not serve, or not to this key.
MODEL_GONE = {"model_not_found", "model_decommissioned"}
# Another model may still answer: at Groq, capacity and rate limits are each model's own.
OF_ONE_MODEL = (errors.Overloaded, errors.ModelGone, errors.RateLimited)
# No stream waits for another's end: aiohttp takes 0 as no limit, and None as its own 100.
CONNECTIONS = httpx.Limits(max_connections=0, keepalive_expiry=60)
DEFAULTS = Sampling()
# What `chat.completions.create` calls, after it has walked through all arguments that it knows by
# their types, which takes as long as all else that the SDK does.
PATH = "/openai/v1/chat/completions"
OFFERED = "/openai/v1/models"
ALL_MODELS = frozenset(catalogue.MODELS)
# In seconds: how long the list of models is gone by, and how long a question waits for it.
OFFERED_FOR, OFFERED_WAIT = 600.0, 3.0

T = TypeVar("T")


class GroqClient:
    """Asks models for completions, whole or as a stream.

    Each call names the model that is wanted and, after it, those that may stand in for it. The next
    is asked where one is over capacity or out of service, has used up its rate limit, or is gone,
    but never once a stream has begun. Where all fail, the error is that of the wanted model.
    A model that fails again and again is not asked for a while (see `llm.breaker`). One that has a
    successor is replaced by it where the provider serves our key that one alone.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str | None,
        timeout: float,
        max_retries: int,
        patience: Patience,
    ) -> None:
        """`timeout` is in seconds, for each attempt; `patience` that with models that fail."""
        self._options: dict[str, Any] = {
            "api_key": api_key,
            "base_url": base_url,
            "timeout": timeout,
            "max_retries": max_retries,
        }
        self._patience = patience
        self._breakers: dict[str, Breaker] = {}
        # What our key is served, as far as is known, and when to ask for it again.
        self._offered, self._ask_again_at = ALL_MODELS, 0.0
        # Connections belong to the event loop they were made in.
        self._by_loop: dict[asyncio.AbstractEventLoop, _Connected] = {}
        # Called when the process ends, at the latest.
        weakref.finalize(self, _close_ended, self._by_loop)

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        models: Sequence[str],
        max_tokens: int,
        sampling: Sampling = DEFAULTS,
    ) -> Completion:
        """The whole answer, of at most `max_tokens` tokens. Raises LLMError."""
        sdk = await self._sdk()

        async def ask(model: catalogue.Model) -> Completion:
            body = _body(messages, model, max_tokens, sampling)
            with self._breaker(model).watching(), _counted_errors(model), _mapped_errors():
                response = await sdk.post(
                    _url(sdk), content=orjson.dumps(body), cast_to=httpx.Response
                )
                return replies.whole(response.content, model.name)

        return await self._first_to_answer(models, ask)

    async def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        models: Sequence[str],
        max_tokens: int,
        sampling: Sampling = DEFAULTS,
    ) -> AsyncGenerator[Delta | Completion]:
        """The answer's text in pieces, then the whole of it. Raises LLMError.

        Nothing is read while the caller has a piece in hand: what comes meanwhile is one piece.
        Closing the iterator closes the connection, so that the model stops.
        """
        sdk = await self._sdk()

        async def ask(model: catalogue.Model) -> _Streaming:
            body = _body(messages, model, max_tokens, sampling) | {"stream": True}
            with ExitStack() as beginning:
                watch = beginning.enter_context(self._breaker(model).watching())
                beginning.enter_context(_counted_errors(model))
                beginning.enter_context(_mapped_errors())
                unread = await sdk.post(
                    _url(sdk),
                    content=orjson.dumps(body),
                    cast_to=httpx.Response,  # which is given as it is, whatever `stream_cls` says
                    stream=True,
                    stream_cls=groq.AsyncStream[object],
                )
                response = cast(httpx.Response, unread)
                return _Streaming(model.name, response, watch, beginning.pop_all())

        stream = await self._first_to_answer(models, ask)
        async with aclosing(stream):
            events = replies.Events()
            try:
                with stream.watching:
                    async for data in stream.response.aiter_bytes():
                        if text := events.feed(data):
                            stream.watch.spoke()
                            with _unread(stream.response):
                                yield Delta(text, stream.model, events.ended)
                        if events.broken:
                            break
                    completion = events.completion(stream.model)
            except errors.LLMError as error:
                error.note_usage(events.usage, stream.model)
                raise
            yield completion

    async def offered(self) -> frozenset[str]:
        """The names of the models that the provider serves to this key. Raises LLMError."""
        sdk = await self._sdk()
        with _mapped_errors():
            # Not tried again: what counts retries looks for the model that a chat names.
            response = await sdk.get(OFFERED, cast_to=httpx.Response, options={"max_retries": 0})
        try:
            return frozenset(str(model["id"]) for model in response.json()["data"])
        except (ValueError, KeyError, TypeError) as error:
            raise errors.BadUpstreamAnswer() from error

    def out_of_service(self) -> dict[str, int]:
        """The models that are not asked for now, each with the seconds until it is tried again."""
        waits = {name: breaker.retry_after for name, breaker in list(self._breakers.items())}
        return {name: wait for name, wait in waits.items() if wait is not None}

    async def _first_to_answer(
        self, models: Sequence[str], ask: Callable[[catalogue.Model], Awaitable[T]]
    ) -> T:
        """What the first model says that is able to. Raises the error of the first one asked."""
        waiting, asked = deque(models), set[str]()
        failures: list[errors.LLMError] = []
        while waiting:
            model = await self._served(catalogue.find(waiting.popleft()))
            if model.name in asked:
                continue
            asked.add(model.name)
            try:
                return await ask(model)
            except OF_ONE_MODEL as error:
                if isinstance(error, errors.ModelGone) and model.successor:
                    # Its successor's error, if that fails too, tells more.
                    self._offered -= {model.name}
                    waiting.append(model.successor)
                else:
                    failures.append(error)
                if waiting:
                    _log_fallback(model.name, waiting[0], error.code)
            except errors.LLMError as error:
                failures.append(error)
                break
        # Only who was asked last can have taken anything.
        raise failures[0].note_usage(failures[-1].usage, failures[-1].model)

    async def _served(self, model: catalogue.Model) -> catalogue.Model:
        """The model, or the successor that our key is served in its place.

        The list is asked for by one call at a time; the others go by what was known before. Without
        a list the model itself is asked, whose 404 tells as much.
        """
        if not model.successor or time.monotonic() < self._ask_again_at:
            return model.served_as(self._offered)
        self._ask_again_at = time.monotonic() + OFFERED_FOR
        offered = ALL_MODELS
        with suppress(errors.LLMError, TimeoutError):
            async with asyncio.timeout(OFFERED_WAIT):
                offered = await self.offered()
        self._offered = offered
        served = model.served_as(offered)
        if served is not model:
            _log_fallback(model.name, served.name, errors.ModelGone.code)
        return served

    def _breaker(self, model: catalogue.Model) -> Breaker:
        if model.name not in self._breakers:
            self._breakers[model.name] = Breaker(model.name, self._patience)
        return self._breakers[model.name]

    async def _sdk(self) -> groq.AsyncGroq:
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            # A kept connection holds its loop, so weak references would never let one go.
            _close_ended(self._by_loop)
            kept = _connections()
            sdk = groq.AsyncGroq(http_client=await anext(kept), **self._options)
            self._by_loop[loop] = _Connected(sdk, kept)
        return self._by_loop[loop].sdk


@dataclass(frozen=True, slots=True)
class _Streaming:
    """A stream that has begun, watched until `watching` is left."""

    model: str
    response: httpx.Response
    watch: Watch
    watching: ExitStack

    async def aclose(self) -> None:
        """Closes the connection where the model still speaks."""
        await self.response.aclose()
        # httpx ties the two together: they would be left to Python's search for dead objects.
        self.response.stream = httpx.ByteStream(b"")


@dataclass(frozen=True, slots=True)
class _Connected:
    """The SDK with its connections, which last as long as the generator that made them."""

    sdk: groq.AsyncGroq
    kept: AsyncGenerator[httpx.AsyncClient, None]


class _NoCookies(httpx.Cookies):
    """None are sent, and none are looked for in answers, which takes long."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Leaves them."""


NO_COOKIES = _NoCookies()


class _Connections(groq.DefaultAioHttpClient):
    @property  # type: ignore[misc]  # nobody sets any
    def cookies(self) -> httpx.Cookies:
        """None."""
        return NO_COOKIES


async def _connections() -> AsyncGenerator[httpx.AsyncClient, None]:
    """Connections that close with their loop: when it ends, asyncio closes its generators."""
    async with _Connections(
        limits=CONNECTIONS,
        event_hooks={"request": [_count_retry], "response": [_end_long_wait]},
    ) as connections:
        yield connections


@contextmanager
def _unread(response: httpx.Response) -> Iterator[None]:
    """Leaves to the system what comes meanwhile: it takes one reading then, not one for each word.

    httpx has no word for it, so this goes through its parts to aiohttp's, which has.
    """
    parts: Any = response.stream
    connection = parts._stream._aiohttp_response.connection
    if connection is None:  # all has come
        yield
        return
    reading = connection.protocol
    reading.pause_reading()
    try:
        yield
    finally:
        reading.resume_reading()


def _close_ended(by_loop: dict[asyncio.AbstractEventLoop, _Connected]) -> None:
    """Lets go of loops that have ended, and closes what one left open, as gunicorn's does."""
    for loop in [known for known in list(by_loop) if known.is_closed()]:
        if connected := by_loop.pop(loop, None):
            closing = connected.kept.aclose()
            with suppress(StopIteration):
                while True:  # there is nothing to wait for
                    closing.send(None)


async def _count_retry(request: httpx.Request) -> None:
    """Counts what the SDK asks again, by the header in which it tells so."""
    if request.headers.get("x-stainless-retry-count", "0") != "0":
        metrics.RETRIES.labels(orjson.loads(request.content)["model"]).inc()


async def _end_long_wait(response: httpx.Response) -> None:
    """Keeps the SDK from sleeping through a long Retry-After, by the header that it obeys."""
    if response.is_success:
        return
    wait = _retry_after(response.headers)
    if wait is not None and wait > LONGEST_WAIT:
        response.headers["x-should-retry"] = "false"


def _url(sdk: groq.AsyncGroq) -> str:
    """In whole: of its path alone the SDK would make it anew for each call."""
    return str(sdk.base_url).rstrip("/") + PATH


def _body(
    messages: Sequence[ChatMessage], model: catalogue.Model, max_tokens: int, sampling: Sampling
) -> dict[str, Any]:
    """What is sent: only what is set."""
    wanted = min(max_tokens, sampling.max_completion_tokens or max_tokens)
    chosen = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "reasoning_effort": model.effort(sampling.reasoning_effort),
        "reasoning_format": model.reasoning_format,
    }
    return {
        "model": model.name,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "max_completion_tokens": model.answer_tokens(wanted),
        **{name: value for name, value in chosen.items() if value is not None},
    }


def _log_fallback(model: str, substitute: str, code: str) -> None:
    extra = {"model": model, "substitute": substitute, "code": code}
    logger.warning("model fallback", extra=extra)


@contextmanager
def _counted_errors(model: catalogue.Model) -> Iterator[None]:
    try:
        yield
    except errors.LLMError as error:
        metrics.ERRORS.labels(model.name, error.code).inc()
        raise


@contextmanager
def _mapped_errors() -> Iterator[None]:
    """Turns the SDK's errors, and those of a broken stream, into our tree."""
    try:
        yield
    except groq.APIStatusError as error:
        raise _from_status(error.status_code, _code(error), error.response.headers) from error
    except groq.APIConnectionError as error:
        raise _from_connection(error.__cause__) from error
    except httpx.ReadTimeout as error:
        raise errors.UpstreamTimeout() from error
    except (groq.APIError, httpx.HTTPError) as error:
        # A connection cut in mid-stream.
        raise errors.BadUpstreamAnswer() from error


def _from_connection(cause: BaseException | None) -> errors.LLMError:
    """The transport calls whatever befalls a connection before an answer a ConnectTimeout."""
    if isinstance(cause, httpx.TimeoutException) and not isinstance(cause, httpx.ConnectTimeout):
        return errors.UpstreamTimeout()
    return errors.Unreachable()


def _from_status(status: int, code: str, headers: httpx.Headers) -> errors.LLMError:
    retry_after = _retry_after(headers)
    if status == 429:
        return errors.RateLimited(retry_after)
    # Groq answers 413 where a prompt alone is over the tokens that an account has a minute.
    if status == 413 or code == "context_length_exceeded":
        return errors.TooLong()
    if status == 404 or code in MODEL_GONE:
        return errors.ModelGone()
    if status in (401, 403):
        return errors.Unauthorised()
    if status == 408:
        return errors.UpstreamTimeout(retry_after)
    if status >= 500 or status == FLEX_CAPACITY:
        return errors.Overloaded(retry_after)
    return errors.Refused()


def _code(error: groq.APIStatusError) -> str:
    """The provider's own code of an error; "" where its body has none."""
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error", body)
    return str(inner.get("code", "")) if isinstance(inner, dict) else ""


def _retry_after(headers: httpx.Headers) -> int | None:
    """Whole seconds to wait, from the headers that the SDK goes by; None where they name none."""
    exact = _seconds(headers.get("retry-after-ms", "")) / 1000
    seconds = exact or _seconds(headers.get("retry-after", ""))
    return min(math.ceil(seconds), MOST_WAIT) if 0 < seconds < math.inf else None


def _seconds(told: str) -> float:
    """A number of seconds, or those until a date; 0 for what is neither."""
    with suppress(ValueError):
        return float(told)
    with suppress(ValueError, OverflowError):
        return parsedate_to_datetime(told).timestamp() - time.time()
    return 0.0
