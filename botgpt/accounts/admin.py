"""Users and API keys in the admin."""

from collections.abc import Sequence
from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import URLPattern, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from botgpt.accounts import history as history
from botgpt.accounts.forgetting import StaffAccount, permissions_to_forget
from botgpt.accounts.logins import in_hashing_thread
from botgpt.accounts.models import APIKey, Budgeted, User
from botgpt.accounts.permissions import missing_permissions
from botgpt.accounts.scopes import Scope, every_scope
from botgpt.accounts.tasks import defer_forgetting
from conversations.budgets import spent
from conversations.models import Actor, Conversation
from documents.admin import user_link
from documents.admin_lists import LongList
from documents.models import Document
from documents.ownership import as_uuid, user_called

NO_BUDGET = "Empty means no limit. Days and months are UTC."
ISSUE_SERVICE_KEY = "accounts.issue_service_key"
NO_SERVICE_KEY = (
    "Name an owner. A service key, which may act for any user, takes the permission "
    f"{ISSUE_SERVICE_KEY}: ask a superuser for it."
)
NO_STAFF_KEY = "This is a staff account: it makes its own keys, or a superuser does."

admin.site.site_header = "BOT GPT"
admin.site.site_title = "BOT GPT"
admin.site.index_title = "Conversations, documents and users"
admin.site.unregister(Group)


def _count_of(model: type[Conversation] | type[Document]) -> Coalesce:
    """How many of these a user has; a subquery each, so that the counts do not multiply."""
    rows = model.objects.filter(user=OuterRef("pk")).order_by().values("user")
    return Coalesce(Subquery(rows.annotate(n=Count("pk")).values("n")), 0)


def _link(model: type[Conversation] | type[Document], user: User, count: int) -> SafeString:
    """The count, linked to the list of what it counts."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return format_html('<a href="{}?user__id__exact={}">{}</a>', address, user.pk, count)


def _spent(holder: Budgeted) -> SafeString:
    """A line for each budget: what is spent of it, and when it resets."""
    limits = holder.limits()
    lines = [
        (
            one.limit.span,
            one.limit.unit.show(one.amount),
            one.limit.unit.show(one.limit.amount),
            f"{one.resets_at:%Y-%m-%d %H:%M} UTC",
        )
        for one in (spent(limits) if limits else ())
    ]
    return format_html_join("", "<div>{}: {} of {}, resets at {}</div>", lines)


@admin.register(User)
class UserAdmin(LongList, DjangoUserAdmin):  # type: ignore[type-arg]
    """Users with the number of their conversations and documents."""

    list_display = ("username", "is_staff", "conversations", "documents", "date_joined")
    list_filter = ("is_staff", "is_superuser", "is_active")
    sortable_by = ()
    search_fields = ("username", "email", "first_name", "last_name")
    search_help_text = "The whole id of a user, or words of the name or address."
    ordering = ("-date_joined",)
    readonly_fields = ("id", "conversations", "documents", "spent", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "id", "password")}),
        ("Has", {"fields": ("conversations", "documents")}),
        ("Budgets", {"fields": (*User.BUDGETS, "spent"), "description": NO_BUDGET}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "user_permissions")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    filter_horizontal = ("user_permissions",)
    # Whoever may set these may give themselves every right.
    for_superusers = ("is_staff", "is_superuser", "groups", "user_permissions")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """With the rights, for all but superusers."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, *self.for_superusers)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Accounts of staff, their passwords too, are changed by superusers alone."""
        allowed: bool = super().has_change_permission(request, obj)
        return allowed and (obj is None or _me(request).may_manage(obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """As `require_may_forget`; what else a user has takes is asked for on the page."""
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and (obj is None or _me(request).may_manage(obj))

    def get_urls(self) -> list[URLPattern]:
        """Django's; the two whose forms set a password hash it in the thread for that."""
        urls: list[URLPattern] = super().get_urls()
        for url in urls:
            if url.name in ("accounts_user_add", "auth_user_password_change"):
                url.callback = in_hashing_thread(url.callback)
        return urls

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With both counts in the one query."""
        queryset: QuerySet[User] = super().get_queryset(request)
        return queryset.annotate(
            conversation_count=_count_of(Conversation), document_count=_count_of(Document)
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """By whole id where it is one, which has an index."""
        if pk := as_uuid(search_term):
            return queryset.filter(pk=pk), False
        found: tuple[QuerySet[User], bool] = super().get_search_results(
            request, queryset, search_term
        )
        return found

    @admin.display
    def conversations(self, user: Any) -> SafeString:
        """How many conversations the user has, linked to them."""
        return _link(Conversation, user, user.conversation_count)

    @admin.display
    def documents(self, user: Any) -> SafeString:
        """How many documents the user has, linked to them."""
        return _link(Document, user, user.document_count)

    @admin.display
    def spent(self, user: User) -> SafeString:
        """Of each budget, with a link to what it was spent on."""
        address = reverse("admin:conversations_usageentry_changelist")
        link = format_html('<a href="{}?user__id__exact={}">usage</a>', address, user.pk)
        return format_html("{}{}", _spent(user), link)

    def get_deleted_objects(
        self, objs: Sequence[User] | QuerySet[User], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Users by name, the rest by number: a single document has thousands of rows.

        With what is needed and missing, and the accounts of staff, which are for superusers alone.
        """
        me = _me(request)
        needed = permissions_to_forget(objs)
        kept = [f"{one}: {StaffAccount.default_detail}" for one in objs if not me.may_manage(one)]
        counts = {
            "users": len(objs),
            "conversations": Conversation.objects.filter(user__in=objs).count(),
            "documents": Document.objects.filter(user__in=objs).count(),
            "API keys": APIKey.objects.filter(owner__in=objs).count(),
        }
        return [str(user) for user in objs], counts, set(missing_permissions(me, needed)), kept

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """The user is shut out at once and forgotten by a worker: there may be much to delete."""
        defer_forgetting(obj, Actor.staff(request))
        text = f"{obj} can do nothing from now on. A worker deletes all there is of them."
        self.message_user(request, text, messages.WARNING)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """The same of several."""
        for user in queryset:
            self.delete_model(request, user)


def _me(request: HttpRequest) -> User:
    """Who is signed in, as everybody in the admin is."""
    return cast(User, request.user)


class APIKeyForm(forms.ModelForm[APIKey]):
    """A key with its scopes to tick, and its owner typed in: nobody scrolls through all users."""

    # Who fills it in.
    me: ClassVar[User]

    owner = forms.CharField(
        required=False,
        help_text=(
            "The id or name of a user. Empty makes a service key, which may act for any user."
        ),
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
    )

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, f"{scope.value}: {scope.label}") for scope in Scope],
        initial=every_scope,
        widget=forms.CheckboxSelectMultiple,
    )

    def clean_owner(self) -> User | None:
        """Raises ValidationError where nobody is so called, or they are not for this account."""
        named = self.cleaned_data["owner"]
        owner: User | None = user_called(named) if named else None
        if named and owner is None:
            raise forms.ValidationError("There is no such user. Give a whole id, or a whole name.")
        if not may_keep_key(self.me, owner):
            raise forms.ValidationError(NO_STAFF_KEY if owner else NO_SERVICE_KEY)
        return owner


def may_keep_key(me: User, owner: User | None) -> bool:
    """Whether this account may make and change keys of that owner, or without one."""
    if owner is None:
        return me.has_perm(ISSUE_SERVICE_KEY)
    return owner == me or me.may_manage(owner)


class StateFilter(admin.SimpleListFilter):
    """By whether keys are accepted."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What a key can be."""
        return [(state, state) for state in ("active", "expired", "revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> QuerySet[APIKey]:
        """Those that are so now."""
        over = Q(expires_at__lte=timezone.now())
        states = {
            "active": queryset.filter(~over | Q(expires_at=None), revoked_at=None),
            "expired": queryset.filter(over, revoked_at=None),
            "revoked": queryset.exclude(revoked_at=None),
        }
        return states.get(self.value() or "", queryset)


@admin.register(APIKey)
class APIKeyAdmin(LongList, admin.ModelAdmin[APIKey]):
    """Keys by prefix; a new one's secret is shown once, after saving."""

    form = APIKeyForm
    list_display = (
        "name",
        "prefix",
        "state",
        "whose",
        "may",
        "last_used",
        "expires",
    )
    list_filter = (StateFilter,)
    sortable_by = ()
    list_select_related = ("owner",)
    search_fields = ("name", "prefix", "owner__username")
    fieldsets = (
        (None, {"fields": ("name", "owner", "prefix", "state", "scopes", "expires_at")}),
        ("Budgets", {"fields": (*APIKey.BUDGETS, "spent"), "description": NO_BUDGET}),
        ("Dates", {"fields": ("created_at", "last_used_at", "revoked_at")}),
    )
    readonly_fields = ("prefix", "state", "spent", "created_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    class Media:
        css: ClassVar = {"all": ["botgpt/keys.css"]}

    def has_change_permission(self, request: HttpRequest, obj: APIKey | None = None) -> bool:
        """Of service keys and those of staff accounts as well as for making them.

        Revoking is an action of the list, for whoever may change keys.
        """
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or may_keep_key(_me(request), obj.owner))

    def get_form(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """A class of its own for each request, which knows whose that is."""
        form: Any = super().get_form(request, *args, **kwargs)
        form.me = request.user
        return form

    def save_model(self, request: HttpRequest, obj: APIKey, form: Any, change: bool) -> None:
        """A new key is issued, so that its secret can be shown."""
        if change:
            super().save_model(request, obj, form, change)
            return
        chosen = ("scopes", "expires_at", *APIKey.BUDGETS)
        fields = {name: getattr(obj, name) for name in chosen}
        key, secret = APIKey.objects.issue(obj.name, obj.owner, **fields)
        obj.pk, obj.prefix = key.pk, key.prefix
        text = 'Keep this key, it is shown only now: <code class="secret">{}</code>'
        messages.warning(request, format_html(text, secret))

    @admin.display
    def state(self, key: APIKey) -> str:
        """Whether it is accepted, and since when it is not."""
        if key.revoked_at:
            return f"revoked {key.revoked_at:%Y-%m-%d}"
        if key.expired:
            return "expired"
        return "active"

    @admin.display(description="owner")
    def whose(self, key: APIKey) -> SafeString | str:
        """A link to the user it acts for."""
        return user_link(key.owner) if key.owner else "any user"

    @admin.display
    def last_used(self, key: APIKey) -> str:
        """To the minute."""
        return f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"

    @admin.display
    def expires(self, key: APIKey) -> str:
        """When its time is over."""
        return f"{key.expires_at:%Y-%m-%d %H:%M}" if key.expires_at else "never"

    @admin.display(description="scopes")
    def may(self, key: APIKey) -> str:
        """By name, or that it has them all."""
        return "all" if set(key.scopes) >= set(Scope) else ", ".join(key.scopes)

    @admin.display
    def spent(self, key: APIKey) -> SafeString | str:
        """Of each budget."""
        return _spent(key) or "-"

    @admin.action(description="Revoke the selected keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> None:
        """From now on these keys are refused."""
        fresh = list(queryset.filter(revoked_at=None))
        count = APIKey.objects.revoke(APIKey.objects.filter(pk__in=[key.pk for key in fresh]))
        by: Any = request.user.pk
        LogEntry.objects.log_actions(by, fresh, CHANGE, "Revoked.")
        self.message_user(request, f"{count} revoked.")
