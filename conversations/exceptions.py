"""What can go wrong with a conversation, as the API tells it."""

from datetime import UTC, datetime
from typing import Any

from rest_framework.exceptions import APIException

from documents.exceptions import DatabaseAway
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


class NotThatRole(APIException):
    """Questions are edited, answers regenerated."""

    status_code = 409
    default_code = "not_that_role"
    default_detail = "This is done to a message of the other role."


class NothingToCancel(APIException):
    """The answer has ended."""

    status_code = 409
    default_code = "nothing_to_cancel"
    default_detail = "This answer is not under way: there is nothing to stop."


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


class BudgetExceeded(AnsweringFailed):
    """A budget has not so much left; `wait` is the time until it has, in seconds."""

    status_code = 429
    default_code = "budget_exceeded"
    default_detail = "A budget is used up."

    def __init__(self, detail: str, resets_at: datetime, ids: dict[str, str] | None = None) -> None:
        """`ids` are those of a turn that was kept."""
        super().__init__({**(ids or {}), "resets_at": f"{resets_at:%Y-%m-%dT%H:%M:%SZ}"}, detail)
        self.resets_at = resets_at
        self.wait = (resets_at - datetime.now(UTC)).total_seconds()

    def kept_as(self, ids: dict[str, str]) -> "BudgetExceeded":
        """The same for a turn that is kept under these."""
        return BudgetExceeded(str(self.detail), self.resets_at, ids)


class ModelFailed(AnsweringFailed):
    """The model did not answer."""

    STATUSES = (
        (errors.RateLimited, 429),
        (errors.TooLong, 422),
        (errors.TokenLimit, 422),
        (errors.Withheld, 422),
        (errors.UpstreamTimeout, 504),
        (errors.Overloaded, 503),
        (errors.Unreachable, 503),
        (errors.Unauthorised, 503),
    )

    def __init__(self, error: errors.LLMError, extra: dict[str, Any]) -> None:
        """Raised from the error of the model's side."""
        super().__init__(extra, error.detail, error.code)
        self.status_code = self.status_for(type(error))
        self.wait = error.retry_after

    @classmethod
    def status_for(cls, kind: type[errors.LLMError]) -> int:
        """The status that tells of such an error; 502 unless there is a better one."""
        return next((status for known, status in cls.STATUSES if issubclass(kind, known)), 502)


class NoDatabase(AnsweringFailed):
    """The database was away when it was needed to answer."""

    status_code = DatabaseAway.status_code
    default_code = DatabaseAway.default_code
    default_detail = "The database did not answer for a while: ask again."
    wait = DatabaseAway.wait


class Interrupted(AnsweringFailed):
    """The server stopped while it answered."""

    status_code = 503
    default_code = "interrupted"
    default_detail = "The server stopped before the answer's end: ask again."


INTERRUPTED = (Interrupted.default_code, Interrupted.default_detail)


def of_ended(answer: Any) -> AnsweringFailed | None:
    """The problem that tells of an answer which failed at an earlier time; None for others."""
    if not answer.error_code:
        return None
    ids = {
        "conversation_id": str(answer.conversation_id),
        "message_id": str(answer.parent_id),
        "answer_id": str(answer.pk),
    }
    for kind in (QuestionTooLong, NoDatabase, Interrupted):
        if answer.error_code == kind.default_code:
            return kind(ids)
    problem = AnsweringFailed(ids, answer.error, answer.error_code)
    problem.status_code = _status_of(answer.error_code)
    return problem


def _status_of(code: str) -> int:
    """The status that goes with a code: of a budget, of the model's side, or 500 for our own."""
    if code == BudgetExceeded.default_code:
        return BudgetExceeded.status_code
    kinds = {kind.code: kind for kind in _all_kinds(errors.LLMError)}
    if code not in kinds:
        return AnsweringFailed.status_code
    return ModelFailed.status_for(kinds[code])


def _all_kinds(kind: type[errors.LLMError]) -> list[type[errors.LLMError]]:
    """An error and all that are more special, special ones last."""
    return [kind, *(one for below in kind.__subclasses__() for one in _all_kinds(below))]
