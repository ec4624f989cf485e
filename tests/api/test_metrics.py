"""Who may read the metrics, and what they say while the database is away."""

import subprocess
import sys
from contextvars import copy_context

import pytest
from django.db import OperationalError, connection
from prometheus_client import REGISTRY

from botgpt.accounts.models import APIKey
from conversations import live
from conversations.dashboard.sections import SECTIONS
from documents import origin
from tests.api.test_staff_rights import Staff
from tests.factories import assert_problem, make_conversation, post
from tests.launch.test_launch import ROOT, environment

pytestmark = pytest.mark.django_db


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_open_access_needs_no_token(client):
    response = client.get("/metrics")

    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert "botgpt_workers " in response.content.decode()


def test_without_a_token_staff_alone_may_read(client, admin_client, user, settings):
    settings.OPEN_ACCESS = False
    _, key = APIKey.objects.issue("shop", user)

    for headers in ({}, bearer(""), bearer(key)):
        response = client.get("/metrics", headers=headers)
        assert_problem(response, 401, "not_authenticated")
        assert response.headers["WWW-Authenticate"] == "Bearer"
    assert admin_client.get("/metrics").status_code == 200


def test_staff_read_them_who_may_see_the_whole_dashboard(settings):
    settings.OPEN_ACCESS = False
    views = {section.permission for section in SECTIONS}

    assert Staff(views).http.get("/metrics").status_code == 200
    for one in views:
        assert_problem(Staff(views - {one}).http.get("/metrics"), 401, "not_authenticated")


def test_with_a_token_it_is_asked_for_where_access_is_open_too(client, settings):
    settings.METRICS_TOKEN = "only-for-prometheus"

    for headers in ({}, bearer("another"), bearer(""), {"Authorization": "only-for-prometheus"}):
        assert client.get("/metrics", headers=headers).status_code == 401
    assert client.get("/metrics", headers=bearer("only-for-prometheus")).status_code == 200


def test_while_the_database_is_away_all_else_is_told(client, monkeypatch):
    def refuse(*args, **kwargs):
        raise OperationalError

    monkeypatch.setattr(connection, "cursor", refuse)

    response = client.get("/metrics")

    assert response.status_code == 200
    assert "botgpt_http_requests_total" in response.content.decode()
    assert "botgpt_queue_jobs" not in response.content.decode()


def test_a_model_out_of_service_is_a_gauge(api, user, groq, settings):
    settings.GROQ_FAILURES, settings.GROQ_PAUSE_SECONDS = 1, 40
    conversation = make_conversation(user)
    groq.script(lambda handler, _: handler.send_json(503, {}))

    post(api, f"/conversations/{conversation.pk}/messages", {"content": "And now?"})

    labels = {"model": conversation.model}
    assert REGISTRY.get_sample_value("botgpt_model_out_of_service", labels) == 1


def test_work_for_all_answers_is_in_no_requests_name():
    def begun_by_a_request():
        origin.begin("shop-21")
        return live._of_nobody()

    context = copy_context().run(begun_by_a_request)

    assert context[origin.request_id] == ""


def test_nothing_of_opentelemetry_is_loaded_unless_wanted(tmp_path):
    program = "import sys, botgpt.asgi; sys.exit('opentelemetry' in sys.modules)"
    variables = environment(tmp_path, DEBUG="true", OTEL_EXPORTER_OTLP_ENDPOINT="")

    assert not subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=variables).returncode
