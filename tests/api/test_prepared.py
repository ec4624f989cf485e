"""What each call asks of the database is planned once for a connection."""

from uuid import uuid4

import pytest
from django.db import connection

from botgpt.accounts.models import APIKey
from conversations.models import Message
from tests.factories import post

pytestmark = pytest.mark.django_db

TABLES = ("accounts_apikey", "accounts_user", "documents_rate", "conversations_message")


@pytest.fixture
def ask(api, settings):
    """A question of somebody new, with a key and a limit."""
    settings.USER_REQUESTS_A_MINUTE = 10
    _, secret = APIKey.objects.issue("test")

    def asked():
        body = {"user_id": str(uuid4()), "first_message": "Hello"}
        response = post(api, "/conversations", body, Authorization=f"Bearer {secret}")
        assert response.status_code == 201, response.content

    return asked


def executions():
    """Of each statement that this connection keeps, how often it ran."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements")
        return dict(cursor.fetchall())


def test_a_question_asks_by_statements_that_were_planned_before(ask):
    ask()
    before = executions()

    ask()

    for table in TABLES:
        assert any(
            table in statement and times > before[statement]
            for statement, times in executions().items()
        ), table
    assert executions().keys() == before.keys()
    assert Message.objects.count() == 4


def test_the_log_of_queries_tells_prepared_ones_too(ask, django_assert_max_num_queries):
    ask()

    with django_assert_max_num_queries(20) as queries:
        ask()

    logged = [query["sql"] for query in queries.captured_queries]
    assert all(logged)
    assert any("FROM accounts_apikey" in sql for sql in logged)


def test_behind_a_pooler_nothing_is_prepared(ask, settings):
    settings.DATABASE_DIRECT_URL = "postgresql://where.the.database.is"
    before = executions()

    ask()

    assert executions() == before
    assert Message.objects.count() == 2


def test_other_statements_are_not_remembered(ask):
    ask()

    assert connection.connection.prepare_threshold is None
