"""What the OpenAPI schema says on every call: the shape of its errors, the key of a POST."""

from typing import Any

from documents.repeats import HEADER, KEY

PROBLEM_TYPE = "application/problem+json"
PROBLEM = {
    "type": "object",
    "description": "A problem detail (RFC 9457).",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What went wrong and what to do."},
        "code": {"type": "string", "description": "The kind of problem, for programs."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "object",
            "description": "Texts by field, where the request was refused.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
        "retry_after": {
            "type": "integer",
            "description": "Seconds to wait before asking again, where that is known.",
        },
        "resets_at": {
            "type": "string",
            "format": "date-time",
            "description": "When a budget, or a limit, that is used up begins anew.",
        },
        "scope": {
            "type": "string",
            "description": "What the API key lacks, where that is why the call was refused.",
        },
        "permissions": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What the staff account lacks, where that is why.",
        },
        "conversation_id": {"type": "string", "format": "uuid"},
        "message_id": {"type": "string", "format": "uuid"},
        "answer_id": {
            "type": "string",
            "format": "uuid",
            "description": "Where a question was kept without an answer: what to retry.",
        },
    },
    "example": {
        "type": "urn:botgpt:problem:invalid",
        "title": "Bad Request",
        "status": 400,
        "detail": "limit: Give a whole number from 1 to 100.",
        "code": "invalid",
        "request_id": "0199f0c2a1b27d3e8f4a5b6c7d8e9f00",
        "errors": {"limit": ["Give a whole number from 1 to 100."]},
    },
}
# What OpenAI's clients read instead.
OPENAI_ERROR = {
    "type": "object",
    "description": "An error as OpenAI's API tells it.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "What went wrong and what to do."},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"], "description": "The field refused."},
                "code": {"type": "string"},
            },
        }
    },
}
IDEMPOTENCY_KEY = {
    "name": HEADER,
    "in": "header",
    "description": (
        "Makes the call safe to send again: for 24 hours the same key and body get the first "
        "answer, with `Idempotent-Replayed: true`; 409 while the first call is under way (a stream "
        "is joined), 422 for another body. A call that was refused may be sent with its key again."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": KEY.pattern},
}
# What calls make: where the calls about it stand, and where the answer has the ids they need.
MADE = {
    "create_conversation": (
        "/api/v1/conversations/{id}",
        {"id": "$response.body#/id", "message_id": "$response.body#/answer/id"},
    ),
    "create_message": (
        "/api/v1/conversations/{id}/messages/{message_id}",
        {"id": "$request.path.id", "message_id": "$response.body#/answer/id"},
    ),
    "upload_document": ("/api/v1/documents/{id}", {"id": "$response.body#/id"}),
    "openai_upload_file": ("/openai/v1/files/{id}", {"id": "$response.body#/id"}),
}
# Questions are edited, all else is done to answers.
OF_QUESTIONS = {"edit_question": {"message_id": "$response.body#/message/id"}}
# By address: the operation's id, what it tells, the schema of each check, and an example.
HEALTH: dict[str, tuple[str, str, dict[str, Any] | None, dict[str, Any]]] = {
    "/health": (
        "health",
        "Database, queue, storage and model apart: `ok`, `degraded` or `unavailable` (503)",
        {
            "type": "object",
            "required": ["status"],
            "properties": {"status": {"type": "string", "description": "`ok`, or what is wrong."}},
        },
        {
            "status": "ok",
            "checks": {
                "database": {"status": "ok"},
                "queue": {"status": "ok", "workers": 1, "waiting": 0, "oldest_seconds": 0},
                "storage": {"status": "ok"},
                "model": {"status": "ok", "configured": False},
            },
        },
    ),
    "/health/live": (
        "live",
        "Whether the process answers; touches no database",
        None,
        {"status": "ok"},
    ),
    "/health/ready": (
        "ready",
        "Whether this process can serve, which needs its database and its storage",
        {"type": "string", "description": "`ok`, or what is wrong."},
        {"status": "ok", "checks": {"database": "ok", "storage": "ok"}},
    ),
}
METHODS = {"get", "post", "put", "patch", "delete"}


def add_problem_responses(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Adds the shape of its errors as the `default` response of every operation."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {"Problem": PROBLEM, "OpenAIError": OPENAI_ERROR}
    for address, path in result["paths"].items():
        ours = not address.startswith("/openai/")
        kind, name = (PROBLEM_TYPE, "Problem") if ours else ("application/json", "OpenAIError")
        content = {kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        for method in METHODS & path.keys():
            path[method]["responses"]["default"] = {"description": "A problem.", "content": content}
    return result


def add_idempotency_key(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Adds the header to every POST but OpenAI's, which knows none."""
    for address, path in result["paths"].items():
        post = path.get("post")
        if post and not address.startswith("/openai/"):
            post.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
    return result


def add_health(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Adds the health checks, which are no views of REST framework's; nobody needs a key for them.

    Last: their failures are no problem details.
    """
    for address, (name, summary, checks, example) in HEALTH.items():
        body: dict[str, Any] = {"status": {"type": "string"}}
        if checks:
            body["checks"] = {"type": "object", "additionalProperties": checks}
        schema = {"type": "object", "required": list(body), "properties": body}
        shown = {"schema": schema, "examples": {"well": {"value": example}}}
        content = {"application/json": shown}
        answers = {"200": {"description": "In service.", "content": content}}
        if checks:
            answers["503"] = {"description": "Out of service: see why.", "content": content}
        result["paths"][address] = {
            "get": {
                "operationId": name,
                "tags": ["health"],
                "summary": summary,
                "security": [{}],
                "responses": answers,
            }
        }
    return result


def add_links(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Says of each call that makes something which calls its ids are for."""
    calls = {
        path[method]["operationId"]: (address, path[method])
        for address, path in result["paths"].items()
        for method in METHODS & path.keys()
    }
    for made, (prefix, ids) in MADE.items():
        links = {
            name: {"operationId": name, "parameters": _needed(address, ids, name)}
            for name, (address, _) in calls.items()
            if address.startswith(prefix)
        }
        for status in {"200", "201"} & calls[made][1]["responses"].keys():
            calls[made][1]["responses"][status]["links"] = links
    return result


def _needed(address: str, ids: dict[str, str], name: str) -> dict[str, str]:
    found = {**ids, **OF_QUESTIONS.get(name, {})}
    return {parameter: value for parameter, value in found.items() if f"{{{parameter}}}" in address}
