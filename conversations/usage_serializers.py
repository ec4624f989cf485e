"""What calls about usage and budgets take and give."""

from datetime import date, timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from conversations.models import Spending, UsageEntry
from conversations.models.usage import GROUPS
from conversations.serializers import WholeListSerializer
from documents.serializers import UserQuerySerializer

MOST_DAYS = 366
DAYS_UNLESS_TOLD = 30


class GroupsField(serializers.CharField):
    """Names of groups with commas between."""

    def to_internal_value(self, data: Any) -> Any:
        """Each once, in the order given. Raises ValidationError."""
        names = dict.fromkeys(one.strip() for one in super().to_internal_value(data).split(","))
        if unknown := [one for one in names if one not in GROUPS]:
            known = ", ".join(GROUPS)
            raise serializers.ValidationError(f"Unknown: {', '.join(unknown)}. Known: {known}.")
        return list(names)


class DayField(serializers.DateField):
    """A UTC day on which there can be usage."""

    def to_internal_value(self, data: Any) -> date:
        """Raises ValidationError for one that no calendar of ours reaches."""
        if not str(data).isascii():  # Python takes the digits of any script
            self.fail("invalid", format="YYYY-MM-DD")
        day = super().to_internal_value(data)
        if not 2000 <= day.year < 3000:
            raise serializers.ValidationError("Give a day from 2000-01-01 to 2999-12-31.")
        return day


class UsageQuerySerializer(UserQuerySerializer):
    """Which days, and what makes a row."""

    group_by = GroupsField(required=False)
    to = DayField(required=False)

    def get_fields(self) -> Any:
        """With `from`, which Python keeps for itself."""
        return {**super().get_fields(), "from": DayField(required=False)}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Adds the days that were left out. Raises ValidationError."""
        last: date = attrs.get("to") or timezone.now().date()
        first = attrs.get("from") or last - timedelta(days=DAYS_UNLESS_TOLD - 1)
        if first > last:
            raise serializers.ValidationError({"from": ["This day is after `to`."]})
        if (last - first).days >= MOST_DAYS:
            raise serializers.ValidationError({"from": [f"Ask for {MOST_DAYS} days at most."]})
        return {"first": first, "last": last, "group_by": attrs.get("group_by", ["day"])}


class UsageTotalSerializer(serializers.Serializer[Any]):
    """Calls of models added up."""

    calls = serializers.IntegerField(help_text="Answers, and what was asked beside them.")
    answers = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField(help_text="Of the prompts'.")
    total_tokens = serializers.IntegerField(help_text="Prompts and completions.")
    cost_usd = serializers.DecimalField(max_digits=20, decimal_places=8)


class UsageRowSerializer(UsageTotalSerializer):
    """The same for one day, model, user, purpose or key: those that `group_by` names."""

    day = serializers.DateField(required=False)
    model = serializers.CharField(required=False)
    user_id = serializers.UUIDField(
        required=False, allow_null=True, help_text="Null for users who were forgotten."
    )
    purpose = serializers.ChoiceField(UsageEntry.Purpose.choices, required=False)
    key_id = serializers.UUIDField(required=False, allow_null=True, help_text="Null for none.")

    def get_fields(self) -> Any:
        """What the row is of comes first."""
        fields = super().get_fields()
        return {name: fields[name] for name in (*GROUPS.values(), *UsageTotalSerializer().fields)}

    def to_representation(self, instance: dict[str, Any]) -> dict[str, Any]:
        """Only what the row has."""
        shown = super().to_representation(instance)
        return {name: value for name, value in shown.items() if name in instance}


@extend_schema_serializer(many=False)
class UsagePageSerializer(serializers.Serializer[Any]):
    """A page of rows, and the total of all pages."""

    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = UsageRowSerializer(many=True)
    total = UsageTotalSerializer()


class TokensLeftSerializer(serializers.Serializer[Any]):
    """A budget of tokens."""

    limit = serializers.IntegerField()
    spent = serializers.IntegerField(help_text="With what is reserved for answers under way.")
    remaining = serializers.IntegerField()


class USDLeftSerializer(serializers.Serializer[Any]):
    """A budget of money."""

    limit = serializers.DecimalField(max_digits=20, decimal_places=8)
    spent = serializers.DecimalField(
        max_digits=20, decimal_places=8, help_text="With what is reserved for answers under way."
    )
    remaining = serializers.DecimalField(max_digits=20, decimal_places=8)


class BudgetSerializer(serializers.Serializer[Any]):
    """The budgets of a user or key for a day or month (UTC); null for none."""

    whose = serializers.ChoiceField(["user", "key"])
    id = serializers.UUIDField(help_text="Of the user or key.")
    period = serializers.ChoiceField(Spending.Period.choices)
    tokens = TokensLeftSerializer(allow_null=True)
    usd = USDLeftSerializer(allow_null=True)
    resets_at = serializers.DateTimeField()


class BudgetListSerializer(WholeListSerializer):
    """The budgets that bind a caller."""

    results = BudgetSerializer(many=True)
