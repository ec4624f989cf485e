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


class QuestionTooLong(APIException):
    """The question does not fit the model's window."""

    status_code = 422
    default_code = "question_too_long"
    default_detail = "The question is longer than the model can take: shorten it."


class ModelFailed(APIException):
    """The model did not answer. The question is saved; `extra` says where it can be asked again."""

    STATUSES = (
        (errors.RateLimited, 429),
        (errors.UpstreamTimeout, 504),
        (errors.Overloaded, 503),
        (errors.Unreachable, 503),
        (errors.Unauthorised, 503),
    )

    def __init__(self, error: errors.LLMError, extra: dict[str, Any]) -> None:
        """Raised from the error of the model's side."""
        super().__init__(error.detail, error.code)
        self.status_code = next((s for kind, s in self.STATUSES if isinstance(error, kind)), 502)
        self.wait = error.retry_after
        self.extra = extra
