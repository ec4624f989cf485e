"""The dashboard of the admin: its numbers, who sees them, and what they cost."""

import re
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.utils import timezone

from botgpt.accounts.models import User
from conversations import tasks
from conversations.dashboard.figures import PERIODS, figures, percentile
from conversations.ids import first_id
from conversations.models import Conversation, Message, Tally
from conversations.models.tally import KINDS, SUMS
from documents.models import Document
from documents.tasks import ingest_document
from tests.factories import empty_queue, make_usage, make_user

pytestmark = pytest.mark.django_db

PAGE = "/admin/dashboard/"
NOW = datetime(2026, 3, 11, 15, 30, tzinfo=UTC)
NOTHING = dict.fromkeys(SUMS, 0) | {name: {} for name in KINDS}
MIDNIGHT = datetime(2026, 3, 11, tzinfo=UTC)


def id_at(moment):
    return UUID(int=first_id(moment).int + secrets.randbits(80))


def answered(user, at, **fields):
    """A conversation of one question and one answer, both of that moment."""
    conversation = Conversation.objects.create(id=id_at(at), user=user, title="", model="m")
    whose = {"conversation": conversation, "user": user}
    question = Message.objects.create(id=id_at(at), position=0, role="user", **whose)
    fields = {**whose, "role": "assistant", "duration_ms": 2_000, "first_token_ms": 500, **fields}
    return Message.objects.create(id=id_at(at), parent=question, position=1, **fields)


def uploaded(user, at, status="ready", **fields):
    sha256 = id_at(at).hex
    return Document.objects.create(
        id=id_at(at), user=user, kind="txt", size=1, sha256=sha256, status=status, **fields
    )


def counted(since=NOW - timedelta(days=2), now=NOW, period="24h"):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timezone, "now", lambda: now)
        Tally.objects.count_since(since)
    return figures(PERIODS[period], now)


def staff(*permissions):
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def text_of(response):
    assert response.status_code == 200
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


def test_a_day_against_the_day_before():
    user = make_user()
    for minutes in (5, 65, 70):
        answered(user, NOW - timedelta(minutes=minutes))
    answered(user, NOW - timedelta(minutes=6), status="failed", error_code="rate_limited")
    make_usage(user, NOW - timedelta(minutes=5), cached_tokens=40, cost_usd=Decimal("0.25"))
    uploaded(user, NOW - timedelta(hours=2), page_count=7)
    uploaded(user, NOW - timedelta(hours=3), "failed", error_code="encrypted")
    answered(user, NOW - timedelta(hours=30))

    found = counted()

    total = found.total
    assert (total.conversations, total.messages, total.answers) == (4, 8, 4)
    assert (total.prompt_tokens, total.cached_tokens, total.completion_tokens) == (100, 40, 20)
    assert total.cost_usd == Decimal("0.25")
    assert total.failures == {"rate_limited": 1}
    assert (total.documents_ready, total.pages) == (1, 7)
    assert total.document_failures == {"encrypted": 1}
    assert [point.conversations for point in found.points[-3:]] == [0, 2, 2]
    assert found.before.conversations == 1


def test_days_are_utc_whatever_the_time_zone_of_rows_and_session():
    user = make_user()
    tokyo, new_york = ZoneInfo("Asia/Tokyo"), ZoneInfo("America/New_York")
    # A minute before and after midnight by UTC, told by clocks elsewhere.
    before = (MIDNIGHT - timedelta(minutes=1)).astimezone(tokyo)
    after = (MIDNIGHT + timedelta(minutes=1)).astimezone(new_york)
    answered(user, before)
    answered(user, after)
    make_usage(user, before, cost_usd=Decimal(1))
    make_usage(user, after, cost_usd=Decimal(2))

    with connection.cursor() as cursor, timezone.override(tokyo):
        cursor.execute("SET LOCAL TIME ZONE 'Asia/Kolkata'")
        found = counted(period="30d")

    assert found.starts[-2:] == (MIDNIGHT - timedelta(days=1), MIDNIGHT)
    assert [point.messages for point in found.points[-2:]] == [2, 2]
    assert [point.cost_usd for point in found.points[-2:]] == [Decimal(1), Decimal(2)]


@pytest.mark.parametrize("period", PERIODS)
def test_every_point_of_every_period_has_its_place(period):
    of, step, points = PERIODS[period].length, PERIODS[period].step, PERIODS[period].points
    first = figures(PERIODS[period], NOW).starts[0]
    for starts in (first + step * (points - 1), first, first - step):
        Tally.objects.create(length=of, starts=starts, counted_at=NOW, **NOTHING | {"pages": 1})

    found = figures(PERIODS[period], NOW)

    assert [point.pages for point in found.points] == [1, *[0] * (points - 2), 1]
    assert (found.total.pages, found.before.pages) == (2, 1)


def test_percentiles_are_right_to_within_a_tenth():
    user = make_user()
    times = [round(200 * 1.02**n) for n in range(200)]
    conversation = answered(user, NOW - timedelta(days=2)).conversation
    place = {"conversation": conversation, "user": user, "role": "assistant"}
    Message.objects.bulk_create(
        Message(id=id_at(NOW), position=n, duration_ms=one, first_token_ms=one // 4, **place)
        for n, one in enumerate(times, start=2)
    )

    total = counted(since=NOW).total

    for share in (0.5, 0.95):
        true = times[int(share * len(times))]
        assert percentile(total.duration_ms, share) == pytest.approx(true, rel=0.1)
        assert percentile(total.first_token_ms, share) == pytest.approx(true / 4, rel=0.1)
    assert percentile({}, 0.5) is None


def test_what_ends_later_is_counted_again_and_what_is_deleted_later_stays():
    user = make_user()
    late = answered(user, NOW - timedelta(hours=30), status="pending")
    early = answered(user, NOW - timedelta(hours=50))
    counted(since=NOW - timedelta(hours=51))
    late.status, late.error_code = "interrupted", "interrupted"
    late.save()
    early.conversation.delete()

    found = counted(period="7d")

    assert found.total.failures == {"interrupted": 1}
    assert found.total.conversations == 2


@pytest.mark.parametrize("job", [tasks.count_hours, tasks.count_again])
def test_a_worker_counts(job):
    make_usage(make_user())

    job(timestamp=0)

    assert figures(PERIODS["90d"], timezone.now()).total.tokens == 120


def test_hours_that_no_worker_counted_are_made_up_for():
    user = make_user()
    stopped = NOW - timedelta(hours=20)
    counted(since=stopped, now=stopped)
    answered(user, NOW - timedelta(hours=10))

    found = counted(since=NOW)

    assert found.total.conversations == 1


def test_an_empty_product_has_an_empty_dashboard(admin_client):
    empty_queue()
    Tally.objects.count_since(timezone.now())

    for period in PERIODS:
        text = text_of(admin_client.get(f"{PAGE}?period={period}"))
        assert "Nothing in this time." in text
        assert "No document waits to be read." in text
    assert "no answers" in text_of(admin_client.get("/admin/"))


def test_it_says_so_when_nothing_is_counted(admin_client):
    warning = "No worker counts at present"

    before = text_of(admin_client.get(PAGE))
    Tally.objects.count_since(timezone.now())
    after = text_of(admin_client.get(PAGE))

    assert warning in before
    assert warning not in after


def test_plots_have_words_for_those_who_do_not_see_them(admin_client):
    make_usage(make_user(), cost_usd=Decimal("12.50"))
    Tally.objects.count_since(timezone.now())

    page = admin_client.get(PAGE).content.decode()

    figure = page[page.index('id="cost"') :]
    assert '<title id="cost-title">Cost</title>' in figure
    assert "$12.50: none in the 24 hours before." in figure
    assert "<td>$12.50</td>" in figure
    assert "<script" not in figure[: figure.index("</figure>")]


def test_a_name_of_an_error_is_not_markup(admin_client):
    answered(make_user(), timezone.now(), status="failed", error_code="<script>x</script>")
    Tally.objects.count_since(timezone.now())

    page = admin_client.get(PAGE).content.decode()

    assert "&lt;script&gt;x" in page
    assert "<script>x" not in page


def test_the_queue_as_it_stands(admin_client):
    empty_queue()
    ingest_document.defer(document_id=str(uuid4()))
    ingest_document.configure(schedule_in={"hours": 1}).defer(document_id=str(uuid4()))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_events SET at = at - interval '90 seconds'")

    text = text_of(admin_client.get(PAGE))

    assert re.search("1 document waits to be read; the first in line for 9[0-9] s", text)


@pytest.mark.parametrize(
    ("permission", "shown", "hidden"),
    [
        ("view_conversation", ["Messages", "Failures"], ["Cost", "Pages read"]),
        ("view_usageentry", ["Cost", "Tokens"], ["Messages", "Pages read"]),
        ("view_document", ["Pages read"], ["Cost", "Messages"]),
    ],
)
def test_staff_see_what_they_may_see(permission, shown, hidden):
    client = staff(permission)

    page = text_of(client.get(PAGE))
    index = text_of(client.get("/admin/"))

    assert all(f" {title} " in page for title in shown)
    assert not any(f" {title} " in page or f" {title} " in index for title in hidden)
    assert "Last 24 hours" in index


def test_staff_who_may_see_nothing_of_it_and_others_are_refused(client):
    nobody = staff("view_apikey")

    assert nobody.get(PAGE).status_code == 403
    assert "Last 24 hours" not in text_of(nobody.get("/admin/"))
    assert client.get(PAGE).headers["Location"].startswith("/admin/login/")


def test_it_takes_a_bounded_number_of_queries(admin_client, django_assert_num_queries):
    user = make_user()
    for days in range(0, 80, 8):
        answered(user, timezone.now() - timedelta(days=days))
    Tally.objects.count_since(timezone.now())

    with django_assert_num_queries(4):  # session, user, tallies, queue
        assert admin_client.get(f"{PAGE}?period=90d").status_code == 200
