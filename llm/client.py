"""Groq behind its official SDK, which retries by itself with exponential backoff."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import groq
import httpx

from llm import errors
from llm.messages import ChatMessage, Completion, Delta, Usage, storable

# Names are short; a provider that sends a page of text instead is not to be stored whole.
MODEL_CHARS = 100
REASON_CHARS = 40
MOST_TOKENS = 2**31 - 1
# Groq's own code for "no capacity for your tier now".
FLEX_CAPACITY = 498
# In seconds. A request does not sleep through a longer wait: it is told to the caller.
LONGEST_WAIT = 5
# A day: Groq's longest limits are those of tokens and requests a day.
MOST_WAIT = 24 * 3600
# Groq's codes for a model that it does not serve, or not to this key.
MODEL_GONE = {"model_not_found", "model_decommissioned"}


class GroqClient:
    """Asks models for completions, whole or as a stream."""

    def __init__(
        self, api_key: str, *, base_url: str | None, timeout: float, max_retries: int
    ) -> None:
        """`timeout` is in seconds, for each attempt."""
        self._options: dict[str, Any] = {
            "api_key": api_key,
            "base_url": base_url,
            "timeout": timeout,
            "max_retries": max_retries,
        }
        # Connections belong to the event loop they were made in.
        self._by_loop: dict[asyncio.AbstractEventLoop, groq.AsyncGroq] = {}

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        model: str,
        max_tokens: int,
        effort: Literal["low", "medium", "high"] | None = None,
    ) -> Completion:
        """The whole answer. Raises LLMError. `effort` is for models that reason first."""
        with _mapped_errors():
            answer = await self._sdk().chat.completions.create(
                messages=_as_sent(messages),
                model=model,
                max_completion_tokens=max_tokens,
                reasoning_effort=effort or groq.omit,
            )
            if not hasattr(answer, "choices") or not answer.choices:
                raise errors.BadUpstreamAnswer()
            choice = answer.choices[0]
            return _completion(
                choice.message.content or "",
                answer.model or model,
                _usage(answer.usage),
                choice.finish_reason,
                answer.id,
            )

    async def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        model: str,
        max_tokens: int,
    ) -> AsyncIterator[Delta | Completion]:
        """The answer's text in pieces, then the whole of it. Raises LLMError.

        Closing the iterator closes the connection, so that the model stops.
        """
        with _mapped_errors():
            chunks = await self._sdk().chat.completions.create(
                messages=_as_sent(messages),
                model=model,
                max_completion_tokens=max_tokens,
                stream=True,
            )
            said: list[str] = []
            usage, reason, request_id = Usage(0, 0), "", None
            async with chunks:
                async for chunk in chunks:
                    request_id = chunk.id or request_id
                    usage = _chunk_usage(chunk) or usage
                    for choice in chunk.choices:
                        reason = choice.finish_reason or reason
                        if text := storable(choice.delta.content or ""):
                            said.append(text)
                            yield Delta(text)
            yield _completion("".join(said), model, usage, reason, request_id)

    def _sdk(self) -> groq.AsyncGroq:
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            # A kept connection holds its loop, so weak references would never let one go.
            for closed in [known for known in list(self._by_loop) if known.is_closed()]:
                self._by_loop.pop(closed, None)
            # The SDK's own connections, when let go, are closed in whatever loop runs then.
            connections = groq.DefaultAsyncHttpxClient(event_hooks={"response": [_end_long_wait]})
            self._by_loop[loop] = groq.AsyncGroq(http_client=connections, **self._options)
        return self._by_loop[loop]


async def _end_long_wait(response: httpx.Response) -> None:
    """Keeps the SDK from sleeping through a long Retry-After, by the header that it obeys."""
    wait = _retry_after(response.headers)
    if wait is not None and wait > LONGEST_WAIT:
        response.headers["x-should-retry"] = "false"


def _as_sent(messages: Sequence[ChatMessage]) -> Any:
    return [{"role": message.role, "content": message.content} for message in messages]


def _chunk_usage(chunk: Any) -> Usage | None:
    """The usage that a stream's last chunk carries, in Groq's place or in OpenAI's.

    Raises BadUpstreamAnswer where the chunk says that the stream was stopped early.
    """
    own = chunk.x_groq
    if own is not None and own.error:
        raise errors.BadUpstreamAnswer()
    usage = (own and own.usage) or chunk.usage
    return _usage(usage) if usage else None


def _usage(usage: Any) -> Usage:
    """The SDK's usage as ours; zero where the provider sent none."""
    if usage is None:
        return Usage(0, 0)
    details = usage.prompt_tokens_details
    counts = (
        usage.prompt_tokens,
        usage.completion_tokens,
        details.cached_tokens if details else 0,
    )
    return Usage(*(min(max(0, int(count)), MOST_TOKENS) for count in counts))


def _completion(
    text: str, model: str, usage: Usage, reason: str, request_id: str | None
) -> Completion:
    """Raises BadUpstreamAnswer where the answer is empty or was cut off."""
    if not text.strip() or not reason:
        raise errors.BadUpstreamAnswer()
    return Completion(
        storable(text),
        storable(model)[:MODEL_CHARS],
        usage,
        storable(reason)[:REASON_CHARS],
        request_id,
    )


@contextmanager
def _mapped_errors() -> Iterator[None]:
    """Turns the SDK's errors, and those of a broken stream, into our tree."""
    try:
        yield
    except groq.APIStatusError as error:
        raise _from_status(error.status_code, _code(error), error.response.headers) from error
    except (groq.APITimeoutError, httpx.TimeoutException) as error:
        raise errors.UpstreamTimeout() from error
    except groq.APIConnectionError as error:
        raise errors.Unreachable() from error
    except (groq.APIError, httpx.HTTPError, ValueError, AttributeError, TypeError) as error:
        # An error told in mid-stream, a cut connection, or what is no JSON of the known shape.
        raise errors.BadUpstreamAnswer() from error


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
