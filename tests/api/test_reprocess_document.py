"""POST /documents/{id}/reprocess"""

from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command

from documents.models import Chunk
from documents.search import find_passages
from tests.factories import assert_problem, get, make_document, make_pending, make_user, post

pytestmark = pytest.mark.django_db


def reprocess(api, document, query=""):
    return post(api, f"/documents/{document.pk}/reprocess{query}")


def run_worker():
    call_command("procrastinate", "worker", "--one-shot", "--no-listen-notify")


@pytest.mark.django_db(transaction=True)
def test_a_document_is_pending_again_and_read_anew(api, user_id):
    document = make_document(make_user(user_id))
    old = set(Chunk.objects.values_list("pk", flat=True))

    response = reprocess(api, document)

    assert response.status_code == 202
    assert response.headers["Location"] == f"/api/v1/documents/{document.pk}"
    assert (response.json()["status"], response.json()["pages_done"]) == ("pending", 0)
    assert set(Chunk.objects.values_list("pk", flat=True)) == old

    run_worker()
    assert get(api, f"/documents/{document.pk}").json()["status"] == "ready"
    new = set(Chunk.objects.values_list("pk", flat=True))
    assert len(new) == len(old)
    assert not new & old


@pytest.mark.django_db(transaction=True)
def test_the_old_text_stays_where_the_new_reading_fails(api, user_id):
    document = make_document(make_user(user_id))
    Path(document.file.path).write_bytes(b"")

    reprocess(api, document)
    run_worker()

    told = get(api, f"/documents/{document.pk}").json()
    assert (told["status"], told["error"]["code"]) == ("ready", "empty")
    assert find_passages("ticket", [document.pk], 1)


@pytest.mark.django_db(transaction=True)
def test_a_failed_document_gets_another_chance(api, user_id):
    document = make_pending(make_user(user_id))
    document.mark_failed("internal_error", "It failed on our side.")

    assert reprocess(api, document).json()["error"] is None
    run_worker()

    assert get(api, f"/documents/{document.pk}").json()["status"] == "ready"


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_one_under_way_is_not_read_twice(api, user_id, status):
    document = make_pending(make_user(user_id))
    if status == "processing":
        document.mark_processing()

    assert_problem(reprocess(api, document), 409, "document_under_way")


def test_someone_elses_document_is_not_found(api, user_id):
    document = make_document(make_user(user_id))

    assert_problem(reprocess(api, document, f"?user_id={uuid4()}"), 404)
    document.refresh_from_db()
    assert document.status == "ready"


def test_it_costs_few_queries(api, user_id, django_assert_max_num_queries):
    document = make_document(make_user(user_id))

    with django_assert_max_num_queries(7):
        assert reprocess(api, document).status_code == 202
