"""Lists of the admin over tables of any length: no query of theirs looks at all rows."""

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from documents.admin_lists import ROWS_COUNTED, LongList
from llm import catalogue

LISTED = ROWS_COUNTED


class Newest(LongList):
    """A list in the order of an index, the newest rows of a long table first."""

    sortable_by: Any = ()

    class Media:
        css: ClassVar = {"all": ["conversations/transcript.css"]}


class OfUser(admin.SimpleListFilter):
    """Those of one user, by id or name: there are too many users to choose from a list."""

    title = "user"
    parameter_name = "user__id__exact"
    template = "conversations/user_filter.html"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """None: it is typed."""
        return []

    def has_output(self) -> bool:
        """Always."""
        return True

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """What its form holds: the value, and what else the list is narrowed by."""
        others = changelist.get_filters_params().items()
        kept = [(name, value) for name, values in others for value in values]
        if changelist.query:
            kept.append(("q", changelist.query))
        rest = [(name, value) for name, value in kept if name != self.parameter_name]
        without = changelist.get_query_string(remove=[self.parameter_name])
        yield {"name": self.parameter_name, "value": self.value(), "rest": rest, "all": without}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrowed by an index."""
        if not (told := (self.value() or "").strip()):
            return queryset
        user_id = user_id_of(told)
        return queryset.none() if user_id is None else self.owned(queryset, user_id)

    def owned(self, queryset: QuerySet[Any], user_id: UUID) -> QuerySet[Any]:
        """Those of that user."""
        return queryset.filter(user_id=user_id)


class AmongNewest(admin.SimpleListFilter):
    """By a column without an index: looks through the newest LISTED rows and no further.

    Values in `indexed` have an index, by which all of theirs are found.
    """

    indexed: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        self.title = f"{self.title}, of the newest {LISTED:,}"
        self.ordering = model_admin.get_ordering(request) or model._meta.ordering
        super().__init__(request, params, model, model_admin)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Narrowed, the order kept."""
        value = self.value()
        if value is None:
            return queryset
        if value not in [choice for choice, _ in self.lookup_choices]:
            return queryset.none()
        if value not in self.indexed:
            queryset = newest(queryset, *self.ordering)
        return queryset.filter(**{str(self.parameter_name): value})


def newest(queryset: QuerySet[Any], *ordering: str) -> QuerySet[Any]:
    """Down to the last one of LISTED, by a query of its own: then one index does the rest."""
    column = ordering[0].lstrip("-")
    rows = queryset.order_by(*ordering).values_list(column, flat=True)
    oldest = rows[LISTED - 1 : LISTED].first()
    return queryset if oldest is None else queryset.filter(**{f"{column}__gte": oldest})


def by(
    column: str, choices: Iterable[tuple[Any, Any]], indexed: Iterable[str] = ()
) -> type[AmongNewest]:
    """A filter by that column."""
    options = [(str(value), str(label).capitalize()) for value, label in choices]

    class Filter(AmongNewest):
        title = column.replace("_", " ")
        parameter_name = column

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            return options

    Filter.indexed = frozenset(indexed)
    return Filter


class ModelFilter(AmongNewest):
    """By model of the catalogue, without looking through all rows for names."""

    title = parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All there are, and quotes."""
        return [(name, name) for name in (*catalogue.MODELS, catalogue.EXTRACTIVE)]


def user_id_of(told: str) -> UUID | None:
    """The id that is told, or that of the user of that name; None where there is no such name."""
    try:
        return UUID(told)
    except ValueError:
        named = get_user_model().objects.filter(username=told)
        found: UUID | None = named.values_list("pk", flat=True).first()
        return found


def link(page: str, pk: UUID, text: str = "") -> SafeString:
    """To the page of one row. By its id, unless told: names would cost a query a row."""
    address = reverse(f"admin:{page}_change", args=[pk])
    return format_html('<a href="{}">{}</a>', address, text or pk)
