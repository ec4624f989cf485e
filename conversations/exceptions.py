"""What can go wrong with a conversation, as the API tells it."""

from typing import Any

from rest_framework.exceptions import APIException

from llm import errors


class AnswerUnderWay(APIException):
    """A conversation takes one question at a time."""

    status_code = 409
    default_code = "answer_under_way"
    default_detail = "The former question is still being answered: wait for it, then ask."


class NothingToRetry(APIException):
    """Only the newest message, a failed answer, can be asked again."""

    status_code = 409
    default_code = "nothing_to_retry"
    default_detail = "Only a failed answer that is the newest message can be asked again."


class AnsweringFailed(APIException):
    """A question has no answer. It is saved; `extra` says where it can be asked again."""

    status_code = 500
    default_code = "internal_error"
    default_detail = "Answering failed on our side: ask again."

    def __init__(
        self, extra: dict[str, Any], detail: str | None = None, code: str | None = None
    ) -> None:
        """`extra` is told along with the error."""
        super().__init__(detail, code)
        self.extra = extra


class QuestionTooLong(AnsweringFailed):
    """The question does not fit the model's window."""

    status_code = 422
    default_code = "question_too_long"
    default_detail = "The question is longer than the model can take: shorten it."


class ModelFailed(AnsweringFailed):
    """The model did not answer."""

    STATUSES = (
        (errors.RateLimited, 429),
        (errors.TooLong, 422),
        (errors.UpstreamTimeout, 504),
        (errors.Overloaded, 503),
        (errors.Unreachable, 503),
        (errors.Unauthorised, 503),
    )

    def __init__(self, error: errors.LLMError, extra: dict[str, Any]) -> None:
        """Raised from the error of the model's side."""
        super().__init__(extra, error.detail, error.code)
        self.status_code = next((s for kind, s in self.STATUSES if isinstance(error, kind)), 502)
        self.wait = error.retry_after
