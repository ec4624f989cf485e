"""Who may use the chat page: with keys required, as staff, and without a model."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.launch.test_launch import ROOT, environment, free_port, served
from tests.page.conftest import add, ask, watched

USER = "5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11"


class Guarded(NamedTuple):
    """Its address and data, a user's key, a service key, and the password of its administrator."""

    url: str
    data_dir: Path
    users_key: str
    service_key: str
    password: str


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, browser: Browser):
    """A server that asks for keys and has no model."""
    data_dir, port = tmp_path_factory.mktemp("guarded"), free_port()

    def create_key(*arguments: str) -> str:
        command = [sys.executable, "manage.py", "createkey", "test", *arguments]
        here = environment(data_dir)
        done = subprocess.run(command, cwd=ROOT, env=here, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return next(word for word in done.stdout.split() if word.startswith("bot_"))

    with served(data_dir, port, DEBUG="false") as (_, banner):
        password = banner.split("admin / ")[1].split()[0]
        users, services = create_key("--user", USER), create_key()
        yield Guarded(f"http://127.0.0.1:{port}", data_dir, users, services, password)


@pytest.fixture
def stranger(guarded, browser: Browser):
    """The page of that server as somebody without a key has it."""
    context = browser.new_context(base_url=guarded.url, reduced_motion="reduce")
    page = watched(context.new_page())
    page.goto("/")
    yield page
    context.close()
    assert page.complaints == []  # type: ignore[attr-defined]


def give(page: Page, key: str, *, remember: bool = False) -> None:
    dialog = page.get_by_role("dialog", name="An API key, please")
    dialog.get_by_label("API key").fill(key)
    if remember:
        dialog.get_by_label("Keep it in this browser").check()
    page.keyboard.press("Enter")


def kept(page: Page) -> list[bool]:
    """Whether the key is kept for the tab, and for the browser."""
    places = "[sessionStorage, localStorage].map(one => one.getItem('botgpt.key') !== null)"
    found: list[bool] = page.evaluate(places)
    return found


def test_a_users_key_is_asked_for_and_does(stranger: Page, guarded) -> None:
    expect(stranger.get_by_text("answers only those with a key")).to_be_visible()
    give(stranger, "bot_nonsense")
    expect(stranger.get_by_text("unknown, expired or revoked")).to_be_visible()
    give(stranger, guarded.users_key)

    add(stranger, "museum.txt", "A ticket costs 14.50 euros.\n")
    ask(stranger, "What does a ticket cost?")
    expect(stranger.locator(".prose blockquote")).to_have_text("A ticket costs 14.50 euros.")
    expect(stranger.locator(".meta")).to_contain_text("quotes, no model")
    assert kept(stranger) == [True, False]


def test_a_service_key_is_remembered_where_that_is_wished(stranger: Page, guarded) -> None:
    give(stranger, guarded.service_key, remember=True)
    expect(stranger.get_by_role("button", name="Forget the API key")).to_be_visible()
    assert kept(stranger) == [False, True]

    stranger.reload()
    stranger.get_by_role("button", name="Forget the API key").click()

    expect(stranger.get_by_role("dialog", name="An API key, please")).to_be_visible()
    assert kept(stranger) == [False, False]


def test_without_a_key_the_page_says_what_is_missing(stranger: Page) -> None:
    expect(stranger.get_by_role("dialog", name="An API key, please")).to_be_visible()
    stranger.keyboard.press("Escape")

    told = stranger.get_by_role("alert").filter(has_text="without an API key")
    told.get_by_role("button", name="Give a key").click()
    expect(stranger.get_by_role("dialog", name="An API key, please")).to_be_visible()


def test_staff_need_no_key(stranger: Page, guarded) -> None:
    stranger.goto("/admin/")
    stranger.get_by_label("Username").fill("admin")
    stranger.get_by_label("Password").fill(guarded.password)
    stranger.get_by_role("button", name="Log in").click()
    stranger.goto("/")

    add(stranger, "museum.txt", "A ticket costs 14.50 euros.\n")
    ask(stranger, "What does a ticket cost?")
    expect(stranger.locator(".prose blockquote")).to_have_text("A ticket costs 14.50 euros.")


def test_staff_without_permissions_are_told_what_they_lack(stranger: Page, guarded) -> None:
    make = "User.objects.create_user('clerk', password='clerks', is_staff=True)"
    command = [sys.executable, "manage.py", "shell", "-c", make]
    subprocess.run(command, cwd=ROOT, env=environment(guarded.data_dir), check=True)
    stranger.goto("/admin/")
    stranger.get_by_label("Username").fill("clerk")
    stranger.get_by_label("Password").fill("clerks")
    stranger.get_by_role("button", name="Log in").click()
    stranger.goto("/")

    told = stranger.get_by_role("alert")
    expect(told.filter(has_text="permission conversations.view_conversation")).to_be_visible()
    ask(stranger, "What does a ticket cost?")
    expect(told.filter(has_text="conversations.add_conversation")).to_be_visible()


def test_without_a_model_the_page_says_what_to_do(stranger: Page, guarded) -> None:
    give(stranger, guarded.users_key)

    expect(stranger.get_by_text("No language model is configured.")).to_be_visible()
    expect(stranger.get_by_text("GROQ_API_KEY=gsk_… make run")).to_be_visible()
    expect(stranger.get_by_role("radio", name="Documents")).to_be_checked()


def test_the_page_takes_in_nothing_but_its_own_files(guarded) -> None:
    response = httpx.get(guarded.url)

    policy = response.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert "unsafe" not in " ".join(policy)
    assert "http" not in " ".join(policy)
    assert "<script>" not in response.text
    assert "style=" not in response.text
