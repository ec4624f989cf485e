"""What was spent, and what budgets leave."""

from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import budgets, examples
from conversations.budgets import Spent
from conversations.models import Limit, UsageEntry
from conversations.models.usage import GROUPS, Unit
from conversations.usage_serializers import (
    BudgetListSerializer,
    BudgetSerializer,
    UsagePageSerializer,
    UsageQuerySerializer,
    UsageRowSerializer,
    UsageTotalSerializer,
)
from documents.views import USER_ID, Scoped

_NAMES = "|".join(GROUPS)
GROUP_BY = OpenApiParameter(
    "group_by",
    {"type": "string", "pattern": f"^({_NAMES})(,({_NAMES}))*$"},
    description=(
        "What makes a row: `day` (UTC), `model`, `user`, `purpose` or `key`, or several of them "
        "with commas between; `day` unless told."
    ),
)
FROM = OpenApiParameter(
    "from", OpenApiTypes.DATE, description="The first day; 30 days in all unless told."
)
# The serializer is a whole page, so the schema's maker does not see that there are more.
PAGE = [
    OpenApiParameter("page", {"type": "integer", "minimum": 1}, description="The page, from 1."),
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": 100},
        description="How many a page, 1 to 100; 20 unless told.",
    ),
]
TO = OpenApiParameter("to", OpenApiTypes.DATE, description="The last day; today unless told.")


class Usage(Scoped, generics.ListAPIView[UsageEntry]):
    """What calls of models took."""

    resource = "usage"
    serializer_class = UsageRowSerializer
    queryset = UsageEntry.objects.none()

    @extend_schema(
        operation_id="list_usage",
        summary="Tokens and cost by day, model, user, purpose or key",
        description=(
            "Latest day first, then by cost. An answer counts to the day on which it was asked "
            "for. `total` is of all pages. Usage outlives its conversations."
        ),
        parameters=[USER_ID, GROUP_BY, FROM, TO, *PAGE],
        responses={(200, "application/json"): UsagePageSerializer},
        filters=False,
        examples=[examples.USAGE],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A page of rows, and their total."""
        query = UsageQuerySerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        visible = UsageEntry.objects.visible_to(self.user_scope())
        entries = visible.on_days(asked["first"], asked["last"])
        page = self.paginate_queryset(entries.grouped(asked["group_by"]))
        response = self.get_paginated_response(UsageRowSerializer(page, many=True).data)
        response.data["total"] = UsageTotalSerializer(entries.summed()).data
        return response


class Budgets(Scoped):
    """What budgets leave."""

    resource = "usage"
    permissions: ClassVar = {"GET": ("accounts.view_user", "conversations.view_usageentry")}

    @extend_schema(
        operation_id="list_budgets",
        summary="Budgets: what is spent of each, and when it resets",
        description=(
            "Those of the key that calls, and of the user whom it acts for. A call that would "
            "overspend one is refused: 429, code `budget_exceeded`, with `resets_at`."
        ),
        parameters=[USER_ID],
        responses=BudgetListSerializer,
        examples=[examples.BUDGET],
    )
    def get(self, request: Request) -> Response:
        """All on one page, in the shape of the other lists."""
        limits: list[Limit] = []
        if user_id := self.user_scope():
            user: Any = get_user_model().objects.filter(pk=user_id).first()
            limits += user.limits() if user else ()
        limits += self.caller.limits
        rows = _rows(budgets.spent(limits)) if limits else []
        results = BudgetSerializer(rows, many=True).data
        return Response({"count": len(rows), "next": None, "previous": None, "results": results})


def _rows(all_spent: list[Spent]) -> list[dict[str, Any]]:
    """One for each holder and period, with its budgets of tokens and of money."""
    rows: dict[Any, dict[str, Any]] = {}
    for one in all_spent:
        limit = one.limit
        new = {
            "whose": limit.whose,
            "id": limit.holder,
            "period": limit.period,
            "resets_at": one.resets_at,
            Unit.TOKENS.value: None,
            Unit.USD.value: None,
        }
        row = rows.setdefault((limit.holder, limit.period), new)
        row[limit.unit.value] = {
            "limit": limit.amount,
            "spent": one.amount,
            "remaining": one.remaining,
        }
    return list(rows.values())
