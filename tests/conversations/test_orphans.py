"""Answers whose web process died are ended, and what it left behind is removed."""

from datetime import timedelta
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from conversations import live, tasks
from conversations.models import Message, StreamedText, WebProcess
from conversations.models.conversation import Asking
from documents import tasks as document_tasks
from tests.documents.test_worker import run_worker
from tests.factories import empty_queue, make_conversation

pytestmark = pytest.mark.django_db


def settle():
    async_to_sync(tasks.settle_orphans.func)(timestamp=0)


def under_way(user, process, content="half an"):
    conversation = make_conversation(user)
    _, answer = conversation.ask("And?", Asking(process=process))
    Message.objects.filter(pk=answer.pk).update(started_at=timezone.now() - timedelta(minutes=1))
    StreamedText.objects.create(message=answer, start=0, text=content)
    return answer


def test_an_answer_whose_process_died_is_ended_with_what_was_said(user):
    dead, living = under_way(user, uuid4()), under_way(user, live.process_id())
    WebProcess.sign_of_life(live.process_id())

    settle()

    dead.refresh_from_db()
    living.refresh_from_db()
    assert (dead.status, dead.content, dead.error_code) == ("interrupted", "half an", "interrupted")
    assert living.status == "pending"
    assert [piece.message_id for piece in StreamedText.objects.all()] == [living.pk]


def test_pieces_of_answers_that_have_ended_are_removed(user):
    ended = under_way(user, None)
    Message.objects.filter(pk=ended.pk).update(status="completed")

    settle()

    assert not StreamedText.objects.exists()


def test_processes_that_died_long_ago_are_forgotten():
    for hours in (1, 25):
        seen_at = timezone.now() - timedelta(hours=hours)
        WebProcess.objects.create(id=uuid4(), host="x", pid=hours, began=0, seen_at=seen_at)

    settle()

    assert [process.pid for process in WebProcess.objects.all()] == [1]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("task", [tasks.write_titles, tasks.fold_histories, tasks.settle_orphans])
def test_a_worker_that_dies_over_a_periodic_job_does_not_end_it_for_ever(task):
    empty_queue()
    task.defer(timestamp=0)
    # As a worker leaves it that is killed: it holds the job's lock.
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'doing', attempts = 1")
    task.defer(timestamp=1)

    document_tasks.requeue_stalled.defer(timestamp=0)
    run_worker()
    run_worker()

    left = ProcrastinateJob.objects.filter(task_name=task.name)
    assert not left.filter(args__timestamp__in=[0, 1]).exists()
