"""API keys in the admin: made for whom, what they may, how they stand, and their end."""

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.utils import timezone

from botgpt.accounts.models import APIKey
from botgpt.accounts.scopes import every_scope
from tests.factories import make_user

pytestmark = pytest.mark.django_db
PATH = "/admin/accounts/apikey/"


@pytest.fixture
def keys():
    """One of each state; their secrets by name."""
    user, now = make_user(), timezone.now()
    secrets = {
        name: APIKey.objects.issue(name, user, expires_at=expires)[1]
        for name, expires in {
            "good": None,
            "lasting": now + timedelta(days=1),
            "late": now - timedelta(days=1),
            "lost": None,
        }.items()
    }
    APIKey.objects.revoke(APIKey.objects.filter(name="lost"))
    return secrets


def listed(client, **query):
    """The state of each key, by name."""
    response = client.get(PATH, query)
    assert response.status_code == 200
    rows = re.findall(
        r'class="field-name"><a [^>]*>(.*?)</a>.*?class="field-state">(.*?)</td>',
        response.content.decode(),
        re.DOTALL,
    )
    return dict(rows)


def make(client, owner, name="backend"):
    form = {"name": name, "owner": owner, "scopes": ["usage:read"]}
    return client.post(f"{PATH}add/", form, follow=True).content.decode()


def test_the_list_tells_how_each_key_stands(admin_client, keys):
    revoked = f"revoked {timezone.now():%Y-%m-%d}"

    assert listed(admin_client) == {
        "good": "active",
        "lasting": "active",
        "late": "expired",
        "lost": revoked,
    }
    assert set(listed(admin_client, state="active")) == {"good", "lasting"}
    assert set(listed(admin_client, state="expired")) == {"late"}
    assert set(listed(admin_client, state="revoked")) == {"lost"}
    assert len(listed(admin_client, state="odd")) == 4


def test_the_owner_is_typed_in_not_picked_from_all_users(admin_client):
    make_user()

    form = admin_client.get(f"{PATH}add/").content.decode()

    assert re.search(r'<input type="text" name="owner"', form)
    assert 'name="owner"' not in "".join(re.findall("<select[^>]*>", form))


def test_an_owner_may_be_named_or_left_out(admin_client):
    user = make_user()
    user.username = "shop"
    user.save()

    make(admin_client, "shop", "by name")
    make(admin_client, str(user.pk), "by id")
    make(admin_client, "", "service")

    owners = dict(APIKey.objects.values_list("name", "owner"))
    assert owners == {"by name": user.pk, "by id": user.pk, "service": None}


def test_an_owner_who_does_not_exist_is_told_of(admin_client):
    assert "There is no such user." in make(admin_client, "nobody")
    assert not APIKey.objects.exists()


def test_saving_a_key_keeps_its_owner(admin_client):
    user = make_user()
    key, _ = APIKey.objects.issue("backend", user)
    shown = admin_client.get(f"{PATH}{key.pk}/change/").content.decode()
    assert f'name="owner" value="{user.pk}"' in shown

    form = {"name": "renamed", "owner": str(user.pk), "scopes": every_scope()}
    admin_client.post(f"{PATH}{key.pk}/change/", form)

    key.refresh_from_db()
    assert (key.name, key.owner) == ("renamed", user)


def test_who_revoked_a_key_is_in_its_history(admin_client, admin_user, keys):
    chosen = [str(key.pk) for key in APIKey.objects.filter(name__in=("good", "lost"))]

    admin_client.post(PATH, {"action": "revoke", "_selected_action": chosen})

    assert APIKey.objects.usable(keys["good"]) is None
    entry = LogEntry.objects.get()  # the other had been revoked before
    assert (entry.user_id, entry.get_change_message()) == (admin_user.pk, "Revoked.")


def test_staff_who_may_only_look_may_not_revoke(client, keys):
    staff = make_user()
    staff.is_staff = True
    staff.save()
    staff.user_permissions.add(Permission.objects.get(codename="view_apikey"))
    client.force_login(staff)
    key = APIKey.objects.get(name="good")

    assert "good" in listed(client)
    client.post(PATH, {"action": "revoke", "_selected_action": [str(key.pk)]})

    assert APIKey.objects.usable(keys["good"]) is not None
