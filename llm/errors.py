"""What can go wrong on the model's side, as one small tree."""

from typing import Self

from llm.messages import NO_USAGE, Usage


class LLMError(Exception):
    """No answer. `detail` is for the API's caller and never holds the upstream's own text."""

    code = "model_failed"
    detail = "The model failed: try again."
    # What the provider reported that the call took, and the model that took it.
    usage = NO_USAGE
    model = ""

    def __init__(self, retry_after: int | None = None) -> None:
        """`retry_after` is in seconds, at least 1, where the provider named it."""
        super().__init__(self.detail)
        self.retry_after = retry_after

    def note_usage(self, usage: Usage, model: str) -> Self:
        """Keeps what has to be paid although there is no answer; returns the error."""
        self.usage, self.model = usage, model
        return self


class RateLimited(LLMError):
    """The provider's rate limit is used up."""

    code = "model_rate_limited"
    detail = "The model's rate limit is used up: ask again in a while."

    def __init__(self, retry_after: int | None = None) -> None:
        """Says how long to wait, where that is known."""
        if retry_after is not None:
            unit = "second" if retry_after == 1 else "seconds"
            self.detail = f"The model's rate limit is used up: ask again in {retry_after} {unit}."
        super().__init__(retry_after)


class Overloaded(LLMError):
    """The provider has no capacity or is broken for now."""

    code = "model_overloaded"
    detail = "The model is overloaded or out of service: ask again in a while."


class OutOfService(Overloaded):
    """The model failed several times in a row and is left alone for a while: it was not asked."""

    code = "model_out_of_service"
    detail = "The model is out of service: ask again in a while."


class UpstreamTimeout(LLMError):
    """The provider did not answer in time."""

    code = "model_timeout"
    detail = "The model did not answer in time: ask again."


class Unreachable(LLMError):
    """There is no connection to the provider."""

    code = "model_unreachable"
    detail = "The model cannot be reached: ask again in a while."


class BadUpstreamAnswer(LLMError):
    """What came is malformed or cut off."""

    code = "model_bad_answer"
    detail = "The model's answer was broken off or malformed: ask again."


class Wordless(LLMError):
    """The model ended its answer by itself, without a word; `finish_reason` is the provider's."""

    code = "empty_answer"
    detail = "The model ended its answer without a word: ask again."

    def __init__(self, finish_reason: str) -> None:
        """Why it ended."""
        super().__init__()
        self.finish_reason = finish_reason


class TokenLimit(Wordless):
    """A reasoning model thought until the answer's tokens were used up."""

    code = "token_limit"
    detail = (
        "The model used up the answer's tokens before its first word: allow more "
        "(max_completion_tokens, at most ANSWER_TOKENS of the server), or ask for a lower "
        "reasoning_effort."
    )


class Withheld(Wordless):
    """The provider's filter kept the answer back."""

    code = "content_filter"
    detail = "The model's provider withheld the answer for its content: ask in other words."


class Refused(LLMError):
    """The provider does not take this request."""

    code = "model_refused"
    detail = "The model refused the request: choose another model or shorten the question."


class TooLong(LLMError):
    """The prompt is more than the model, or our account, takes at once."""

    code = "question_too_long"
    detail = (
        "The question with its history and passages is more than the model takes at once: "
        "shorten it, choose another model or open a new conversation."
    )


class ModelGone(Refused):
    """The provider does not serve this model, or not to our key."""

    code = "model_gone"
    detail = "The provider does not serve this model to our key: choose another (GET /models)."


class Unauthorised(LLMError):
    """The provider does not know our key."""

    code = "model_key_refused"
    detail = "The model's provider refused our key: the operator has to check GROQ_API_KEY."
