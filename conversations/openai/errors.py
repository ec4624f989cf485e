"""Errors as OpenAI's clients read them: `{"error": {"message", "type", "code", "param"}}`."""

import json
from typing import Any

from django.http import JsonResponse
from rest_framework.exceptions import APIException, NotFound
from rest_framework.settings import api_settings

# Where OpenAI has a code that programs look for, it is told instead of ours.
CODES = {
    "authentication_failed": "invalid_api_key",
    "not_authenticated": "invalid_api_key",
    "key_expired": "invalid_api_key",
    "budget_exceeded": "insufficient_quota",
    "question_too_long": "context_length_exceeded",
}
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
OURS = "Something went wrong on our side: try again, and report the X-Request-ID if it stays."


class UnknownModel(NotFound):
    """No model of that name."""

    default_code = "model_not_found"
    param = "model"


class UnknownFile(NotFound):
    """The caller's user has no such file."""

    default_code = "file_not_found"


def exception_handler(error: Exception, context: dict[str, Any]) -> JsonResponse:
    """The problem that the rest of the API answers with, in OpenAI's shape."""
    answer_with: Any = api_settings.EXCEPTION_HANDLER
    response: JsonResponse | None = answer_with(error, context)
    if response is None:
        told = APIException(OURS)
        told.__cause__ = error  # for the log
        response = answer_with(told, context)
        assert response is not None
    problem = json.loads(response.content)
    param = getattr(error, "param", None)
    body = error_body(problem, param)
    # OpenAI has no 422: what is wrong with a request is a 400.
    response.status_code = 400 if response.status_code == 422 else response.status_code
    response.content = json.dumps(body).encode()
    response.headers["Content-Type"] = "application/json"
    return response


def error_body(problem: dict[str, Any], param: str | None = None) -> dict[str, Any]:
    """A problem detail in OpenAI's shape; `param` is the first field that was refused."""
    status, code = problem["status"], problem["code"]
    refused = next(iter(problem.get("errors", {})), None)
    kind = "server_error" if status >= 500 else TYPES.get(status, "invalid_request_error")
    error = {
        "message": problem["detail"],
        "type": kind,
        "param": param or (None if refused == "body" else refused),
        "code": CODES.get(code, code),
    }
    return {"error": error}
