"""Lists of the admin that stay quick at a million rows: nothing in them looks at every row."""

from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property

ROWS_COUNTED = 10_000
ROWS_ACTED_ON = 1_000


class CappedCount(int):
    """A number of rows that is only known to be larger."""

    def __str__(self) -> str:
        return f"{int(self):,}+"


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages of the first ten thousand rows: counting all of a long table takes long.

    Says "10,000+" where there are more. Whoever looks for one of those narrows the list.
    """

    @cached_property
    def count(self) -> int:
        """How many rows have a page."""
        rows: Any = self.object_list
        # Without what each row shows and how they are sorted, which cost more than the counting.
        found: int = rows.order_by().values("pk")[: ROWS_COUNTED + 1].count()
        return found if found <= ROWS_COUNTED else CappedCount(ROWS_COUNTED)


class ReadOnly:
    """Mixed into a ModelAdmin of rows that the product writes and staff only read."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: they come from elsewhere."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class LongList:
    """Mixed into a ModelAdmin whose table grows without end."""

    paginator: Any = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    # They would count the rows of each choice of each filter.
    show_facets = admin.ShowFacets.NEVER

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Refuses "all" where these are more than one request can see to."""
        rows = queryset.order_by().values("pk")[: ROWS_ACTED_ON + 1]
        if request.POST.get("select_across") == "1" and rows.count() > ROWS_ACTED_ON:
            text = f"Nothing was done: an action takes at most {ROWS_ACTED_ON:,} rows at once. "
            messages.error(request, f"{text}Narrow the list by a filter or a search.")
            return None
        response: HttpResponse | None = super().response_action(  # type: ignore[misc]
            request, queryset, *args, **kwargs
        )
        return response
