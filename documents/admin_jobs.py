"""The worker's jobs in the admin: what waits, what is done now, what failed and why.

In the place of procrastinate's own list, which asks the database for every lock there is, and whose
actions everyone may take who may look.
"""

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db import connection, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.fields.json import KT
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil
from procrastinate.contrib.django import admin as _procrastinates_own  # noqa: F401
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateEvent, ProcrastinateJob
from procrastinate.exceptions import ConnectorException

from documents.admin_lists import LongList, ReadOnly
from documents.models import Document
from documents.ownership import as_uuid
from documents.tasks import defer_ingestion

# A document that is read again has a job of its own; the one that failed has had its say.
FORGET_FAILED = "DELETE FROM procrastinate_jobs WHERE id = %(job_id)s AND status = 'failed'"
STATUSES = {
    "todo": "waiting",
    "doing": "under way",
    "failed": "failed",
    "succeeded": "succeeded",
    "cancelled": "cancelled",
    "aborted": "aborted",
}


class _Choice(admin.SimpleListFilter):
    """By one column whose values are known without asking the database for all there are."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of the value chosen; none where there is no such value."""
        chosen = self.value()
        if chosen is None:
            return queryset
        if chosen not in dict(self.lookup_choices):
            return queryset.none()
        return queryset.filter(**{str(self.parameter_name): chosen})


class StatusFilter(_Choice):
    """By status."""

    title = parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All there are."""
        return list(STATUSES.items())


class QueueFilter(_Choice):
    """By queue."""

    title, parameter_name = "queue", "queue_name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Those that our tasks use."""
        return [(name, name) for name in sorted({task.queue for task in app.tasks.values()})]


class TaskFilter(_Choice):
    """By task."""

    title, parameter_name = "task", "task_name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Those that our workers know."""
        names = sorted({task.name for task in app.tasks.values()})  # some have aliases
        return [(name, _short(name)) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Within the task's queue, which has an index."""
        task = app.tasks.get(self.value() or "")
        found = super().queryset(request, queryset)
        return found.filter(queue_name=task.queue) if task else found


admin.site.unregister(ProcrastinateJob)


@admin.register(ProcrastinateJob)
class JobAdmin(LongList, ReadOnly, admin.ModelAdmin[ProcrastinateJob]):
    """Jobs, newest first, each with its document."""

    list_display = ("id", "task", "outcome", "about", "age", "attempts")
    list_filter = (StatusFilter, QueueFilter, TaskFilter)
    sortable_by = ("id",)
    ordering: ClassVar = ["-id"]
    search_fields = ("id",)
    search_help_text = "The number of a job, or the whole id of a document."
    actions = ("retry",)
    fields = (
        "id",
        "task_name",
        "outcome",
        "about",
        "queue_name",
        "attempts",
        "scheduled_at",
        "priority",
        "locks",
        "arguments",
        "events",
    )

    class Media:
        css: ClassVar = {"all": ["documents/jobs.css"]}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: a document whose job is gone would wait in vain."""
        return False

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """For staff who may change jobs, though only so."""
        return request.user.has_perm("procrastinate.change_procrastinatejob")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProcrastinateJob]:
        """With when each was queued and when it last moved; the database asks for those shown."""
        events = ProcrastinateEvent.objects.filter(job=OuterRef("pk"))
        return (
            super()
            .get_queryset(request)
            .annotate(
                queued_at=Subquery(events.order_by("id").values("at")[:1]),
                moved_at=Subquery(events.order_by("-id").values("at")[:1]),
            )
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ProcrastinateJob], search_term: str
    ) -> tuple[QuerySet[ProcrastinateJob], bool]:
        """By number or document."""
        if not search_term:
            return queryset, False
        if search_term.isascii() and search_term.isdigit():
            return queryset.filter(pk=int(search_term[:19])), False
        if pk := as_uuid(search_term):
            of_document = queryset.alias(document_id=KT("args__document_id"))
            return of_document.filter(document_id=str(pk)), False
        return queryset.none(), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Not named after the package."""
        return super().changelist_view(request, {"title": "Jobs", **(extra_context or {})})

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With the documents of the rows shown, in one query."""
        found: Any = super().get_changelist_instance(request)
        _give_documents(found.result_list)
        return found

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> ProcrastinateJob | None:
        """With its document."""
        job: Any = super().get_object(request, object_id, from_field)
        if job is not None:
            _give_documents([job])
        found: ProcrastinateJob | None = job
        return found

    @admin.action(description="Retry the selected jobs that failed", permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[ProcrastinateJob]) -> None:
        """Each failed job runs again at once; tells of each sort of those that do not."""
        jobs: list[Any] = list(queryset)
        _give_documents(jobs)
        told: dict[str, int] = {}
        for job in jobs:
            said = _retried(job)
            told[said] = told.get(said, 0) + 1
        for said, count in told.items():
            level = messages.SUCCESS if said == RETRIED else messages.WARNING
            self.message_user(request, f"{count} {said}", level)

    @admin.display
    def task(self, job: ProcrastinateJob) -> SafeString:
        """By its own name, the whole one where the pointer rests; and its queue."""
        text = '<span title="{}">{}</span><span class="queue">{}</span>'
        return format_html(text, job.task_name, _short(job.task_name), job.queue_name)

    @admin.display(description="status")
    def outcome(self, job: ProcrastinateJob) -> SafeString:
        """As staff say it."""
        text = STATUSES.get(job.status, job.status)
        if job.status == "doing" and job.abort_requested:
            text = "is told to stop"
        due = job.scheduled_at
        if job.status == "todo" and due and due > timezone.now():
            text = f"waiting, due in {timeuntil(due, depth=1)}"
        return format_html('<span class="job is-{}">{}</span>', job.status, text)

    @admin.display(description="document, reason")
    def about(self, job: Any) -> SafeString:
        """A link to its document, and why the job failed."""
        about = "deleted" if "document_id" in job.args else "-"
        if job.document:
            address = reverse("admin:documents_document_change", args=[job.document.pk])
            about = format_html('<a href="{}">{}</a>', address, job.document.name)
        text = '{}<span class="reason">{}</span>'
        return format_html(text, about, _reason(job) if job.status == "failed" else "")

    @admin.display
    def age(self, job: Any) -> SafeString | str:
        """How long ago it was queued."""
        if job.queued_at is None:
            return "-"
        text = '<time datetime="{}" title="{}">{}</time>'
        at = job.queued_at
        return format_html(
            text, at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S} UTC", timesince(at, depth=1)
        )

    @admin.display
    def locks(self, job: ProcrastinateJob) -> str:
        """What no two jobs hold at once."""
        return ", ".join(filter(None, (job.lock, job.queueing_lock))) or "none"

    @admin.display
    def arguments(self, job: ProcrastinateJob) -> SafeString:
        """What it was given."""
        return format_html("<pre>{}</pre>", json.dumps(job.args, indent=2))

    @admin.display
    def events(self, job: ProcrastinateJob) -> SafeString | str:
        """What became of it, oldest first."""
        events = ProcrastinateEvent.objects.filter(job=job).order_by("id")[:100]
        rows = [(f"{one.at:%Y-%m-%d %H:%M:%S} UTC", one.type.replace("_", " ")) for one in events]
        return format_html_join("", "<div>{}: {}</div>", rows) or "none"


RETRIED = "will run again."
NOT_FAILED = "left alone: only failed jobs are retried."
COMES_AGAIN = "left alone: periodic jobs run again by themselves."
SETTLED = "left alone: their documents were read or are being read since, or are deleted."
IN_THE_WAY = "left alone: the same job waits already."


def _reason(job: Any) -> str:
    """What its document tells; else where to look."""
    if job.document is None:
        return f"Told in the worker's log, by the number {job.pk}."
    if job.document.error_code:
        return f"{job.document.error_code}: {job.document.error}"
    return f"The document is {job.document.get_status_display().lower()} by now."


def _retried(job: Any) -> str:
    """What to say of a job that should run again."""
    if job.status != "failed":
        return NOT_FAILED
    if "timestamp" in job.args:
        return COMES_AGAIN
    if "document_id" in job.args:
        return _read_again(job)
    try:
        app.job_manager.retry_job_by_id(job.pk, timezone.now())
    except ConnectorException:  # another holds its lock, or it is not failed any more
        return IN_THE_WAY
    return RETRIED


def _read_again(job: Any) -> str:
    """A job as often tried as this one would give up at once: the document gets a new one."""
    if job.document is None or not job.document.error_code:
        return SETTLED
    with transaction.atomic(), connection.cursor() as cursor:
        if not job.document.read_again(defer_ingestion):
            return SETTLED
        cursor.execute(FORGET_FAILED, {"job_id": job.pk})
    return RETRIED


def _give_documents(jobs: Iterable[Any]) -> None:
    jobs = list(jobs)
    ids = {str(job.args.get("document_id", "")) for job in jobs}
    wanted = Document.objects.filter(pk__in=list(filter(None, map(as_uuid, ids))))
    documents = {str(document.pk): document for document in wanted.defer("name_terms")}
    for job in jobs:
        job.document = documents.get(job.args.get("document_id", ""))


def _short(task_name: str) -> str:
    return task_name.rpartition(".")[2].replace("_", " ")
