"""`manage.py createkey` and `manage.py revokekey`."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from botgpt.accounts.models import APIKey
from botgpt.accounts.scopes import every_scope
from tests.factories import assert_problem, get

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _closed(settings):
    settings.OPEN_ACCESS = False


def status(api, secret, path="/models"):
    return get(api, path, Authorization=f"Bearer {secret}").status_code


def test_a_key_is_printed_alone_and_works(api, user_id, capsys):
    call_command("createkey", "shop", user=user_id)

    secret = capsys.readouterr().out.strip()
    assert status(api, secret) == 200
    assert APIKey.objects.get().scopes == every_scope()
    assert APIKey.objects.get().expires_at is None


def test_a_key_has_the_scopes_that_are_named(api, capsys):
    call_command("createkey", "importer", "--scope", "usage:read", "--scope", "documents:read")

    secret = capsys.readouterr().out.strip()
    assert APIKey.objects.get().scopes == ["documents:read", "usage:read"]
    assert (status(api, secret, "/usage"), status(api, secret)) == (200, 403)


def test_a_key_expires_after_so_many_days(capsys):
    call_command("createkey", "guest", "--expires", "30")

    left = APIKey.objects.get().expires_at - timezone.now()
    assert timedelta(days=29) < left <= timedelta(days=30)


def test_a_key_is_told_as_json(user_id, capsys):
    call_command("createkey", "shop", "--user", str(user_id), "--expires", "1", "--json")

    told, key = json.loads(capsys.readouterr().out), APIKey.objects.get()
    assert told["secret"].startswith(told["prefix"])
    assert APIKey.objects.usable(told.pop("secret")) == key
    assert told == {
        "id": str(key.pk),
        "name": "shop",
        "prefix": key.prefix,
        "user_id": str(user_id),
        "scopes": every_scope(),
        "expires_at": key.expires_at.isoformat(),
    }


@pytest.mark.parametrize(
    "option",
    [("--scope", "everything"), ("--expires", "0"), ("--expires", "soon"), ("--expires", "9999")],
)
def test_what_makes_no_sense_makes_no_key(option):
    with pytest.raises(CommandError):
        call_command("createkey", "shop", *option)

    assert not APIKey.objects.exists()


def test_a_revoked_key_is_refused_from_the_next_call_on(api, capsys):
    key, secret = APIKey.objects.issue("shop")
    _, other = APIKey.objects.issue("platform")
    assert status(api, secret) == 200

    call_command("revokekey", key.prefix)

    assert "shop" in capsys.readouterr().out
    assert_problem(get(api, "/models", Authorization=f"Bearer {secret}"), 401)
    assert status(api, other) == 200


def test_only_one_known_key_is_revoked(user_id):
    key, _ = APIKey.objects.issue("shop")
    with pytest.raises(CommandError, match="does not exist"):
        call_command("revokekey", "bot_nobody")
    twin, _ = APIKey.objects.issue("twin")
    APIKey.objects.filter(pk=twin.pk).update(prefix=key.prefix)
    with pytest.raises(CommandError, match="Several"):
        call_command("revokekey", key.prefix)
    assert not APIKey.objects.exclude(revoked_at=None).exists()

    APIKey.objects.revoke(APIKey.objects.filter(pk=twin.pk))
    call_command("revokekey", key.prefix)

    with pytest.raises(CommandError, match="revoked already"):
        call_command("revokekey", key.prefix)


@pytest.mark.parametrize("command", ["createkey", "revokekey"])
def test_help_shows_examples(command, capsys):
    with pytest.raises(SystemExit):
        call_command(command, "--help")

    assert f"\n  manage.py {command} " in capsys.readouterr().out
