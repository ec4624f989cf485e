"""Times every list of the admin, and its dashboard, beside a million messages.

    make bench-admin
    make bench-admin ADMIN="--only documents"

Each list is opened, paged, searched, narrowed by each of its filters and sorted by each of its
columns, as staff with all rights, through Django's test client.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "botgpt.settings")
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.admin.utils import quote  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from botgpt.accounts.models import User  # noqa: E402
from conversations.dashboard.figures import PERIODS  # noqa: E402
from conversations.models import Tally  # noqa: E402
from tests.benchmarks.admin import rows  # noqa: E402

GOAL_MS = 200
TIMES = 15
# Of a page that is far beyond its goal.
SECONDS = 5.0


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="pages whose address has this")
    parser.add_argument("--times", type=int, default=TIMES, help="how often each is asked for")
    arguments = parser.parse_args()
    call_command("migrate", verbosity=0)
    rows.fill()
    begun = time.perf_counter()
    hours = Tally.objects.count_since(timezone.now())
    print(f"counted {hours} hours in {time.perf_counter() - begun:.1f} s")
    client = Client(SERVER_NAME="localhost")
    user, _ = User.objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    client.force_login(user)
    print("| page | what | p50 ms | p95 ms | queries | |\n|---|---|---|---|---|---|")
    for name, what, address in pages(client):
        if arguments.only in address:
            report(client, name, what, address, arguments.times)


def report(client: Client, name: str, what: str, address: str, times: int) -> None:
    """One line of the table."""
    queries: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        queries.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        status = client.get(address).status_code
    took: list[float] = []
    while len(took) < times and (len(took) < 3 or sum(took) < SECONDS * 1000):
        begun = time.perf_counter()
        client.get(address)
        took.append((time.perf_counter() - begun) * 1000)
    p50, p95 = statistics.median(took), statistics.quantiles(took, n=20, method="inclusive")[-1]
    remark = "" if status == 200 else f"status {status}"
    remark += " **over the goal**" if p95 > GOAL_MS else ""
    print(f"| {name} | {what} | {p50:.0f} | {p95:.0f} | {len(queries)} | {remark} |", flush=True)


def pages(client: Client) -> Iterator[tuple[str, str, str]]:
    """Name, what is asked of it, and address of each."""
    yield "index", "", "/admin/"
    for period in PERIODS:
        yield "dashboard", period, f"/admin/dashboard/?period={period}"
    yield "usage by user", "7 days", "/admin/conversations/usageentry/by-user/"
    for model in admin.site._registry:
        options = model._meta
        name, address = str(options.verbose_name_plural), f"/admin/{options.app_label}/"
        address += f"{options.model_name}/"
        listed: Any = client.get(address)
        changes = listed.context_data["cl"]
        for what, query in _ways(changes):
            yield name, what, address + query
        if first := next(iter(changes.result_list), None):
            yield name, "the first one's page", f"{address}{quote(first.pk)}/change/"


def _ways(changes: Any) -> Iterator[tuple[str, str]]:
    """Of a list: what is asked for, and the query that does."""
    yield "first page", ""
    yield "second page", "?p=2"
    yield "last page", f"?p={changes.paginator.num_pages}"
    if changes.search_fields:
        yield "search for a word of many rows", f"?q={rows.common_word()}"
        yield "search for a word of none", "?q=xyzzy"
        yield "search for an id", f"?q={getattr(changes.result_list[0], 'pk', '')}"
    for spec in changes.filter_specs:
        for label, query in _choices(spec, changes):
            yield f"{spec.title}: {label}", query
    for number, column in enumerate(changes.list_display):
        by = changes.get_ordering_field(column)
        if by and (changes.sortable_by is None or column in changes.sortable_by):
            yield f"sorted by {column}", f"?o={number}"


def _choices(spec: Any, changes: Any) -> Iterator[tuple[str, str]]:
    """The first and the last of a filter, or a user where one is typed."""
    choices = list(spec.choices(changes))
    chosen = [one for one in choices if "query_string" in one and not one["selected"]]
    for one in {id(one): one for one in chosen[:1] + chosen[-1:]}.values():
        yield str(one["display"]), one["query_string"]
    for one in choices:
        if "name" in one:
            user = User.objects.filter(conversations__isnull=False).first()
            yield "one user", f"?{one['name']}={user and user.pk}"


if __name__ == "__main__":
    main()
