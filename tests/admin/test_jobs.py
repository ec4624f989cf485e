"""The worker's jobs in the admin: found, understood, and run again where they failed."""

import json
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from documents.models import Document
from documents.tasks import defer_ingestion
from tests.factories import empty_queue, make_document, make_pending, make_user

pytestmark = pytest.mark.django_db
PATH = "/admin/procrastinate/procrastinatejob/"
INGEST = "documents.tasks.ingest_document"
FORGET = "botgpt.accounts.tasks.forget_user"


@pytest.fixture(autouse=True)
def _empty_queue():
    empty_queue()


@pytest.fixture
def user():
    return make_user()


def make_job(status="todo", task=INGEST, queue="documents", attempts=0, lock=None, **args):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_jobs"
            " (queue_name, task_name, priority, args, status, attempts, queueing_lock)"
            " VALUES (%s, %s, 0, %s, %s, %s, %s) RETURNING id",
            [queue, task, json.dumps(args), status, attempts, lock],
        )
        return cursor.fetchone()[0]


def failed_job(user, attempts=5):
    document = make_pending(user, f"{uuid4()}")
    document.mark_failed("internal_error", "Reading failed on our side.")
    return document, make_job("failed", attempts=attempts, document_id=str(document.pk))


def listed(client, **query):
    response = client.get(PATH, query)
    assert response.status_code == 200
    return response.content.decode()


def ids(shown):
    return [int(one) for one in re.findall(r'class="field-id"><a [^>]*>(\d+)</a>', shown)]


def retry(client, *jobs):
    form = {"action": "retry", "_selected_action": jobs}
    return client.post(PATH, form, follow=True).content.decode()


def test_a_failed_job_tells_why_and_leads_to_its_document(admin_client, user):
    document, job = failed_job(user)

    for shown in (listed(admin_client), admin_client.get(f"{PATH}{job}/change/").content.decode()):
        assert "internal_error: Reading failed on our side." in shown
        assert f'<a href="/admin/documents/document/{document.pk}/change/">late.txt</a>' in shown
        assert 'class="job is-failed">failed<' in shown


def test_jobs_of_documents_that_are_deleted_or_of_none_are_told_of(admin_client):
    make_job("failed", document_id=str(uuid4()))
    make_job("failed", document_id="nonsense")
    other = make_job("failed", FORGET, "accounts", user_id=str(uuid4()))

    shown = listed(admin_client)

    assert shown.count('class="field-about">deleted<') == 2
    assert 'class="field-about">-<' in shown
    assert f"Told in the worker&#x27;s log, by the number {other}." in shown


def test_a_job_tells_how_old_it_is_and_what_became_of_it(admin_client, user):
    document = make_document(user)
    defer_ingestion(document)
    job = ProcrastinateJob.objects.get()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_events SET at = at - interval '3 hours' WHERE job_id = %s",
            [job.pk],
        )

    assert ">3\xa0hours</time>" in listed(admin_client)
    events = admin_client.get(f"{PATH}{job.pk}/change/").content.decode()
    assert re.search(r"\d\d:\d\d:\d\d UTC: deferred", events)


def test_a_job_that_waits_for_its_time_says_when(admin_client, user):
    job = make_job(document_id=str(make_pending(user).pk))
    due = timezone.now() + timedelta(minutes=5, seconds=30)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = %s WHERE id = %s", [due, job])

    assert "waiting, due in 5\xa0minutes" in listed(admin_client)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "failed"}, "failed"),
        ({"queue_name": "accounts"}, "forget"),
        ({"task_name": FORGET}, "forget"),
        ({"status": "todo", "queue_name": "documents"}, "waiting"),
    ],
)
def test_jobs_are_found_by_status_queue_and_task(admin_client, user, query, found):
    jobs = {
        "failed": failed_job(user)[1],
        "waiting": make_job(document_id=str(uuid4())),
        "forget": make_job("doing", FORGET, "accounts", user_id="x"),
    }

    assert ids(listed(admin_client, **query)) == [jobs[found]]
    assert ids(listed(admin_client)) == sorted(jobs.values(), reverse=True)


@pytest.mark.parametrize("query", [{"status": "odd"}, {"queue_name": "'"}, {"task_name": "x\\"}])
def test_what_no_job_can_be_finds_none(admin_client, user, query):
    failed_job(user)

    assert ids(listed(admin_client, **query)) == []


def test_jobs_are_found_by_number_and_document(admin_client, user):
    document, job = failed_job(user)
    failed_job(user)

    assert ids(listed(admin_client, q=str(job))) == [job]
    assert ids(listed(admin_client, q=str(document.pk))) == [job]
    for nothing in ("9" * 30, "nonsense", str(uuid4()), "²"):
        assert ids(listed(admin_client, q=nothing)) == []


def test_the_filters_ask_the_database_for_no_values(admin_client, user):
    failed_job(user)
    with CaptureQueriesContext(connection) as queries:
        listed(admin_client)

    assert not [one for one in queries if "DISTINCT" in one["sql"]]


def test_retrying_a_failed_job_reads_its_document_again(admin_client, user):
    document, job = failed_job(user, attempts=5)

    said = retry(admin_client, job)

    assert "1 will run again." in said
    document.refresh_from_db()
    assert (document.status, document.error_code) == ("pending", "")
    [fresh] = ProcrastinateJob.objects.all()
    assert (fresh.status, fresh.attempts) == ("todo", 0)
    assert fresh.args == {"document_id": str(document.pk), "origin": fresh.args["origin"]}
    assert fresh.pk != job


def test_another_failed_job_runs_again(admin_client):
    job = make_job("failed", FORGET, "accounts", user_id="x")

    assert "1 will run again." in retry(admin_client, job)

    assert ProcrastinateJob.objects.get(pk=job).status == "todo"


def test_what_cannot_or_need_not_run_again_is_left_alone(admin_client, user):
    ready = make_document(user)
    jobs = [
        make_job("todo", document_id=str(ready.pk)),
        make_job("doing", document_id=str(ready.pk)),
        make_job("failed", document_id=str(ready.pk)),
        make_job("failed", document_id=str(uuid4())),
        make_job("failed", "documents.tasks.forget_rates", timestamp=1),
    ]
    before = list(ProcrastinateJob.objects.order_by("id").values())

    said = retry(admin_client, *jobs)

    assert "2 left alone: only failed jobs are retried." in said
    assert "2 left alone: their documents were read" in said
    assert "1 left alone: periodic jobs run again by themselves." in said
    assert list(ProcrastinateJob.objects.order_by("id").values()) == before
    ready.refresh_from_db()
    assert ready.status == "ready"


@pytest.mark.django_db(transaction=True)
def test_a_job_that_waits_already_is_not_queued_twice(admin_client):
    empty_queue()
    job = make_job("failed", FORGET, "accounts", lock="once", user_id="x")
    make_job("todo", FORGET, "accounts", lock="once", user_id="x")

    assert "1 left alone: the same job waits already." in retry(admin_client, job)

    assert ProcrastinateJob.objects.get(pk=job).status == "failed"
    empty_queue()


def test_staff_who_may_only_look_may_not_retry(client, user):
    document, job = failed_job(user)
    staff = make_user()
    staff.is_staff = True
    staff.save()
    staff.user_permissions.add(Permission.objects.get(codename="view_procrastinatejob"))
    client.force_login(staff)

    assert job in ids(listed(client))
    retry(client, job)

    document.refresh_from_db()
    assert document.status == "failed"


def test_jobs_are_neither_added_nor_changed_nor_deleted_by_hand(admin_client, user):
    _, job = failed_job(user)

    assert admin_client.get(f"{PATH}add/").status_code == 403
    assert admin_client.get(f"{PATH}{job}/delete/").status_code == 403
    assert 'name="_save"' not in admin_client.get(f"{PATH}{job}/change/").content.decode()


def test_a_list_costs_the_same_queries_however_long(admin_client, user):
    def cost():
        with CaptureQueriesContext(connection) as queries:
            listed(admin_client)
        return len(queries)

    failed_job(user)
    one = cost()
    for _ in range(9):
        failed_job(user)

    assert cost() == one <= 6
    assert Document.objects.count() == 10
