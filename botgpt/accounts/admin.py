"""Users and API keys in the admin."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone

from botgpt.accounts.models import APIKey, User
from conversations.models import Conversation
from documents.models import Document

admin.site.site_header = "BOT GPT"
admin.site.site_title = "BOT GPT"
admin.site.index_title = "Conversations, documents and users"
admin.site.unregister(Group)


def _count_of(model: type[Conversation] | type[Document]) -> Coalesce:
    """How many of these a user has; a subquery each, so that the counts do not multiply."""
    rows = model.objects.filter(user=OuterRef("pk")).order_by().values("user")
    return Coalesce(Subquery(rows.annotate(n=Count("pk")).values("n")), 0)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    """Users with the number of their conversations and documents."""

    list_display = ("username", "id", "is_staff", "conversations", "documents", "date_joined")
    list_filter = ("is_staff", "is_superuser", "is_active")
    search_fields = ("username", "id", "email", "first_name", "last_name")
    ordering = ("-date_joined",)
    readonly_fields = ("id", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "id", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    filter_horizontal = ("user_permissions",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With both counts in the one query."""
        queryset: QuerySet[User] = super().get_queryset(request)
        return queryset.annotate(
            conversation_count=_count_of(Conversation), document_count=_count_of(Document)
        )

    @admin.display(ordering="conversation_count")
    def conversations(self, user: Any) -> int:
        """How many conversations the user has."""
        return int(user.conversation_count)

    @admin.display(ordering="document_count")
    def documents(self, user: Any) -> int:
        """How many documents the user has."""
        return int(user.document_count)


@admin.register(APIKey)
class APIKeyAdmin(admin.ModelAdmin[APIKey]):
    """Keys by prefix; a new one's secret is shown once, after saving."""

    list_display = ("name", "prefix", "owner", "created_at", "last_used_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("owner",)
    search_fields = ("name", "prefix", "owner__username")
    autocomplete_fields = ("owner",)
    fields = ("name", "owner", "prefix", "created_at", "last_used_at", "revoked_at")
    readonly_fields = ("prefix", "created_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    def save_model(self, request: HttpRequest, obj: APIKey, form: Any, change: bool) -> None:
        """A new key is issued, so that its secret can be shown."""
        if change:
            super().save_model(request, obj, form, change)
            return
        key, secret = APIKey.objects.issue(obj.name, obj.owner)
        obj.pk, obj.prefix = key.pk, key.prefix
        messages.warning(request, f"Keep this key, it is shown only now: {secret}")

    @admin.action(description="Revoke the selected keys")
    def revoke(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> None:
        """From now on these keys are refused."""
        count = queryset.filter(revoked_at=None).update(revoked_at=timezone.now())
        self.message_user(request, f"{count} revoked.")
