"""A database that hangs up, or breaks off in the middle of a call."""

import psycopg
import pytest
from django.core.files.base import ContentFile
from django.db import OperationalError, connection, transaction

from documents.models import Document
from documents.tasks import defer_ingestion
from tests.factories import assert_problem, get

pytestmark = pytest.mark.django_db(transaction=True)


def hang_up():
    """The server ends all connections of ours, as it does when it is restarted."""
    address = {**connection.get_connection_params(), "autocommit": True}
    for name in ("cursor_factory", "context", "prepare_threshold"):
        address.pop(name, None)
    with psycopg.connect(**address) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_connections_that_the_server_closed_are_not_used_again(api, user):
    get(api, f"/documents?user_id={user.pk}")
    connection.close()  # back to the pool

    hang_up()

    assert get(api, f"/documents?user_id={user.pk}").status_code == 200


def test_a_connection_that_breaks_in_a_call_is_a_503_that_says_when_to_come_again(api, user):
    assert Document.objects.count() == 0  # takes the connection that the call will have
    hang_up()

    response = get(api, f"/documents?user_id={user.pk}")
    connection.close()  # as a server does at the end of each request

    assert_problem(response, 503, "database_unavailable")
    assert response.headers["Retry-After"] == "2"
    assert get(api, f"/documents?user_id={user.pk}").status_code == 200


def test_a_document_committed_as_the_connection_broke_is_kept(user):
    def break_off():
        raise OperationalError("the connection is closed")

    def then(document):
        defer_ingestion(document)
        transaction.on_commit(break_off)

    document, made = Document.objects.keep(user, "a.txt", "txt", ContentFile(b"Text."), then)

    assert made
    assert Document.objects.get() == document
    assert document.file.open("rb").read() == b"Text."
