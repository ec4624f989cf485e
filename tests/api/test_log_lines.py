"""What a log line tells, to people and to programs, and that a request is found by its id."""

import io
import json
import logging
import re

import pytest
from procrastinate.contrib.django.models import ProcrastinateJob

from botgpt.api.logs import JSONFormatter, LineFormatter
from tests.factories import get, post, upload

pytestmark = pytest.mark.django_db


@pytest.fixture
def lines():
    """What was logged so far, each line read as JSON."""
    told = io.StringIO()
    handler = logging.StreamHandler(told)
    handler.setFormatter(JSONFormatter())
    logging.getLogger().addHandler(handler)
    yield lambda: [json.loads(line) for line in told.getvalue().splitlines()]
    logging.getLogger().removeHandler(handler)


def test_a_request_is_one_object_without_its_query(api, user_id, lines):
    get(api, f"/conversations?user_id={user_id}", **{"X-Request-ID": "shop-17"})

    (line,) = [one for one in lines() if one["message"] == "request"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line.pop("duration_ms") > 0
    assert line == {
        "level": "INFO",
        "logger": "botgpt.request",
        "message": "request",
        "request_id": "shop-17",
        "method": "GET",
        "path": "/api/v1/conversations",
        "status": 200,
    }


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_tells_the_request_that_asked_for_it(api, user_id, groq, lines, stream):
    asked = {"user_id": str(user_id), "first_message": "Hello", "stream": stream}
    post(api, "/conversations", asked, **{"X-Request-ID": "shop-18"})

    (line,) = [one for one in lines() if one["message"] == "answer completed"]
    assert line["request_id"] == "shop-18"
    assert line["completion_tokens"] > 0


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "a\u2028b", "<script>"])
def test_an_id_that_is_none_is_replaced(api, user_id, lines, given):
    headers = {"X-Request-ID": given} if given else {}
    response = get(api, f"/conversations?user_id={user_id}", **headers)

    made = response.headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert lines()[-1]["request_id"] == made


def test_a_job_keeps_the_id_of_the_request_that_deferred_it(api, user_id):
    response = upload(api, b"The okapi eats leaves.", user_id=user_id)
    (job,) = ProcrastinateJob.objects.filter(args__document_id=response.json()["id"])
    assert job.args["origin"]["request_id"] == response.headers["X-Request-ID"]


def test_an_error_is_one_object_with_its_traceback(lines):
    words = " ".join(["a", "private", "word"])
    try:
        raise ValueError(words)
    except ValueError:
        logging.getLogger("botgpt.test").exception("it failed")

    (line,) = lines()
    assert line["level"] == "ERROR"
    assert "in test_an_error_is_one_object" in line["exception"]
    assert "ValueError" in line["exception"]
    assert words not in str(line)


def test_what_an_event_brings_along_cannot_replace_what_the_line_tells(lines):
    extra = {"level": "none", "time": "never", "logger": "other"}
    logging.getLogger("botgpt.test").warning("it is late", extra=extra)

    (line,) = lines()
    assert (line["level"], line["logger"]) == ("WARNING", "botgpt.test")
    assert line["time"] != "never"


def test_people_read_text():
    record = logging.makeLogRecord({"name": "botgpt.test", "msg": "it works", "after": 3})

    assert " botgpt.test it works after=3" in LineFormatter().format(record)
