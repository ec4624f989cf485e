"""Long lists of the admin look at no more rows than they show."""

import pytest
from django.contrib import admin
from django.core.paginator import EmptyPage
from django.db import connection
from django.db.models.functions import Length
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from botgpt.accounts.models import User
from documents import admin_lists
from documents.admin_lists import CappedPaginator, LongList
from documents.models import Document
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _low_caps(monkeypatch):
    monkeypatch.setattr(admin_lists, "ROWS_COUNTED", 4)
    monkeypatch.setattr(admin_lists, "ROWS_ACTED_ON", 3)


def rows(count, user=None):
    """So many documents, in an order that costs a sort, with what each shows."""
    user = user or make_user()
    Document.objects.bulk_create(
        Document(user=user, name=f"{n}.txt", kind="txt", size=1, sha256=f"{n:064}", status="ready")
        for n in range(count)
    )
    return Document.objects.order_by("name").annotate(length=Length("name"))


@pytest.mark.parametrize(("count", "shown"), [(0, "0"), (4, "4"), (5, "4+"), (9, "4+")])
def test_it_counts_so_many_and_says_where_there_are_more(count, shown):
    paginator = CappedPaginator(rows(count), 2)

    assert str(paginator.count) == shown
    assert paginator.num_pages == max(1, min(count, 4) // 2)


def test_pages_end_at_the_cap():
    paginator = CappedPaginator(rows(9), 2)

    assert [document.name for document in paginator.page(2)] == ["2.txt", "3.txt"]
    with pytest.raises(EmptyPage):
        paginator.page(3)


def test_counting_neither_sorts_nor_works_out_what_is_shown():
    with CaptureQueriesContext(connection) as queries:
        CappedPaginator(rows(2), 2).count  # noqa: B018

    sql = queries.captured_queries[-1]["sql"]
    assert "LIMIT 5" in sql
    assert "ORDER BY" not in sql
    assert "LENGTH" not in sql


def test_numbers_have_thousands():
    assert f"{admin_lists.CappedCount(10_000)}" == "10,000+"


class Seen(LongList, admin.ModelAdmin):
    """A list whose one action tells what it was given."""

    actions = ("see",)

    @admin.action
    def see(self, request, queryset):
        self.seen = sorted(queryset.values_list("name", flat=True))


@pytest.mark.parametrize(("count", "seen"), [(3, ["0.txt", "1.txt", "2.txt"]), (4, None)])
def test_all_at_once_only_where_these_are_few(count, seen, admin_user, monkeypatch):
    told = []
    monkeypatch.setattr("django.contrib.messages.error", lambda _, text: told.append(text))
    first = rows(count).first()
    request = RequestFactory().post(
        "/", {"action": "see", "select_across": "1", "index": "0", "_selected_action": first.pk}
    )
    request.user = User.objects.get(pk=admin_user.pk)
    page = Seen(Document, admin.site)

    page.response_action(request, Document.objects.all())

    assert getattr(page, "seen", None) == seen
    assert bool(told) is (seen is None)
