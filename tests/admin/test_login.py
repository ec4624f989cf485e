"""Logging in to the admin: how many attempts there may be, of which account and address."""

import logging
import threading
from typing import ClassVar

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection
from django.test import AsyncClient
from django.utils import timezone

from botgpt.accounts import logins
from botgpt.accounts.models import User
from documents import rates
from documents.models import Rate
from documents.rates import Requests

pytestmark = pytest.mark.django_db
RIGHT = "opens the museum"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch, settings):
    """A process that has counted nothing, and whose windows do not end within a test."""
    in_another_process(monkeypatch)
    monkeypatch.setattr(logins, "REFUSED_AFTER_SECONDS", (0, 0))
    settings.LOGIN_PAUSE_SECONDS = 10**9


def in_another_process(monkeypatch):
    monkeypatch.setattr(rates, "logins", Requests(Rate.What.LOGINS))


@pytest.fixture
def curator():
    return User.objects.create_superuser("curator", password=RIGHT)


def log_in(client, password="wrong", *, name="curator", address="192.0.2.1", **headers):
    client.cookies.clear()
    fields = {"username": name, "password": password, "next": "/admin/"}
    return client.post("/admin/login/", fields, REMOTE_ADDR=address, headers=headers)


def fail(client, times, **who):
    for _ in range(times):
        response = log_in(client, **who)
        assert response.status_code == 200
        assert b"Please enter the correct username and password" in response.content


def assert_refused(response):
    assert response.status_code == 429
    assert "sessionid" not in response.cookies
    assert int(response.headers["Retry-After"]) > 0
    assert b"Too many attempts to log in. Try again in" in response.content


def assert_let_in(response):
    assert (response.status_code, response.headers["Location"]) == (302, "/admin/")


def test_after_five_wrong_passwords_the_right_one_is_refused_too(client, curator):
    fail(client, 5)

    assert_refused(log_in(client, RIGHT))


def test_all_processes_count_together(client, curator, monkeypatch):
    for _ in range(5):
        fail(client, 1)
        in_another_process(monkeypatch)

    assert_refused(log_in(client, RIGHT))


def test_after_the_pause_the_right_password_is_taken(client, curator, settings):
    settings.LOGIN_PAUSE_SECONDS = 1
    statuses = []
    while 429 not in statuses:  # five within one of the seconds
        statuses.append(log_in(client).status_code)
    assert set(statuses) == {200, 429}

    assert_let_in(wait_and_log_in(client))


def wait_and_log_in(client):
    """As somebody does who reads what the page says."""
    while (response := log_in(client, RIGHT)).status_code == 429:
        assert response.headers["Retry-After"] == "1"
    return response


@pytest.mark.parametrize(("seconds", "said"), [(299.2, "5 minutes"), (60, "60 seconds")])
def test_the_page_says_when_to_try_again(client, monkeypatch, seconds, said):
    standing = rates.Standing(5, 0, seconds, is_refused=True)
    monkeypatch.setattr(rates.logins, "take", lambda limits: [standing])

    response = log_in(client)

    assert f"Try again in {said}." in response.content.decode()
    assert float(response.headers["Retry-After"]) >= seconds


def test_an_unknown_account_is_refused_just_as_a_known_one(client, curator):
    pages = []
    for name in ("curator", "nobody"):
        fail(client, 5, name=name, address=f"{name}'s")
        pages.append(log_in(client, name=name, address=f"{name}'s"))

    assert [one.status_code for one in pages] == [429, 429]
    assert pages[0].content == pages[1].content


def test_other_spellings_of_a_name_are_the_same_account(client, curator):
    for name in ("curator", " curator", "curator ", "ｃurator", "curatoｒ"):
        fail(client, 1, name=name)

    assert_refused(log_in(client, RIGHT))


def test_whoever_guesses_locks_nobody_out_elsewhere(client, curator):
    for _ in range(200):
        log_in(client)

    assert_let_in(log_in(client, RIGHT, address="192.0.2.2"))


def test_an_address_tries_few_accounts(client, curator):
    for number in range(20):
        fail(client, 1, name=f"nobody{number}")

    assert_refused(log_in(client, RIGHT))
    assert_let_in(log_in(client, RIGHT, address="192.0.2.2"))


def test_many_addresses_together_guess_little_of_one_account(client, curator):
    for number in range(25):
        fail(client, 4, address=f"198.51.100.{number}")

    assert_refused(log_in(client, RIGHT, address="192.0.2.2"))
    User.objects.create_superuser("other", password=RIGHT)
    assert_let_in(log_in(client, RIGHT, name="other", address="198.51.100.1"))


def test_who_has_logged_in_may_mistype_as_often_as_before(client, curator):
    for _ in range(4):
        fail(client, 4)
        assert_let_in(log_in(client, RIGHT))


def test_right_passwords_use_up_nothing(client, curator):
    for _ in range(105):
        assert_let_in(log_in(client, RIGHT))


def test_an_unfinished_form_resets_nothing(client, curator):
    fail(client, 4)
    client.post("/admin/login/", {"username": "curator"}, REMOTE_ADDR="192.0.2.1")

    assert_refused(log_in(client, RIGHT))


@pytest.mark.parametrize(
    ("one", "another", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_of_ipv6_a_whole_network_is_one_address(client, curator, one, another, same):
    fail(client, 5, address=one)

    answer = log_in(client, RIGHT, address=another)

    assert (answer.status_code == 429) == same


def test_a_forged_address_is_no_way_out(client, curator):
    for number in range(5):
        fail(client, 1, **{"X-Forwarded-For": f"198.51.100.{number}"})

    assert_refused(log_in(client, RIGHT, **{"X-Forwarded-For": "198.51.100.9"}))


def test_behind_a_proxy_what_it_says_counts_and_what_the_client_says_does_not(
    client, curator, settings
):
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    for number in range(5):
        fail(client, 1, **{"X-Forwarded-For": f"198.51.100.{number}, 203.0.113.1"})

    told = {"X-Forwarded-For": "198.51.100.9, 203.0.113.1"}
    assert_refused(log_in(client, RIGHT, **told))
    assert_let_in(log_in(client, RIGHT, **{"X-Forwarded-For": "203.0.113.2"}))


@pytest.mark.parametrize("said", ["", "unknown", "203.0.113.1:80, x", "\x00"])
def test_a_proxy_that_says_no_address_is_no_error(client, settings, said):
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}

    fail(client, 5, **{"X-Forwarded-For": said})
    assert_refused(log_in(client, **{"X-Forwarded-For": said}))


def test_where_many_wait_others_are_asked_to_come_again(client, curator, monkeypatch):
    monkeypatch.setattr(logins, "ACCEPTED", logins.asyncio.Semaphore(0))

    response = log_in(client, RIGHT)

    assert_refused(response)
    assert response.headers["Retry-After"] == str(logins.BUSY_SECONDS)


def test_the_log_has_a_line_of_each_refusal_without_name_or_password(client, curator, caplog):
    caplog.set_level(logging.WARNING)
    fail(client, 5)
    assert not caplog.records
    for _ in range(2):
        log_in(client, "a secret")

    ours = [one for one in caplog.records if one.name.startswith("botgpt")]
    assert [(one.levelname, one.getMessage()) for one in ours] == [("WARNING", "login refused")] * 2
    assert ours[0].address == "192.0.2.1"
    lines = str([vars(one) for one in caplog.records])
    assert "curator" not in lines
    assert "a secret" not in lines


def test_what_is_counted_tells_neither_name_nor_address(client, curator):
    fail(client, 1)

    with connection.cursor() as cursor:
        cursor.execute("SELECT row::text FROM documents_rate AS row")
        rows = cursor.fetchall()
    assert len(rows) == 3
    assert "curator" not in str(rows)
    assert "192.0.2.1" not in str(rows)
    assert Rate.objects.filter(starts__lte=timezone.now(), used=1).count() == 3


# --- Hashing --------------------------------------------------------------------------------------


class LookingHasher(MD5PasswordHasher):
    """Notes at each hash in which thread that is, and whether it holds a connection."""

    seen: ClassVar[list[tuple[str, bool]]] = []

    def encode(self, password, salt):
        name = threading.current_thread().name.partition("_")[0]
        self.seen.append((name, connection.connection is not None))
        return super().encode(password, salt)


NEW = {"password1": "another museum", "password2": "another museum", "usable_password": "true"}
CHANGED = {"new_password1": "another museum", "new_password2": "another museum"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("login/", {"username": "curator", "password": "wrong"}, 200),
        ("login/", {"username": "curator", "password": RIGHT}, 302),
        ("login/", {"username": "nobody", "password": "wrong"}, 200),
        ("password_change/", {"old_password": RIGHT, **CHANGED}, 302),
        ("accounts/user/{pk}/password/", NEW, 302),
        ("accounts/user/add/", {"username": "new", **NEW}, 302),
    ],
    ids=["wrong", "right", "unknown", "change", "set", "add"],
)
def test_a_password_is_hashed_beside_other_requests_and_without_a_connection(
    client, settings, path, fields, status
):
    settings.PASSWORD_HASHERS = [f"{__name__}.LookingHasher"]
    curator = User.objects.create_superuser("curator", password=RIGHT)
    if "login" not in path:
        client.force_login(curator)
    LookingHasher.seen.clear()

    response = post_as_served(client, f"/admin/{path.format(pk=curator.pk)}", fields)

    assert response.status_code == status, response.content
    assert {name for name, _ in LookingHasher.seen} == {"hashing"}
    # A new account is saved in the transaction that has made sure of its name.
    assert {held for _, held in LookingHasher.seen} == {"add" in path}


def post_as_served(client, path, fields):
    """As the server does it, where each request has one of the threads that all share."""

    async def served():
        asynchronous = AsyncClient()
        asynchronous.cookies = client.cookies
        async with ThreadSensitiveContext():
            return await asynchronous.post(path, fields)

    return async_to_sync(served)()
