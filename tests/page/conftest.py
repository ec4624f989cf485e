"""A browser on the chat page of a real server, whose model is scripted."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.fake_groq import FakeGroq, Handler, Received, Reply, echo
from tests.launch.test_launch import free_port, served

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Nothing is asked of hosts elsewhere, which a browser does by itself at its start.
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
QUIET += ["--disable-quic", "--no-first-run", "--disable-gpu"]
SMALL_MODEL = "openai/gpt-oss-20b"

expect.set_options(timeout=20_000)


def executable(playwrights_own: str) -> str:
    """CHROMIUM, Playwright's own, or one that is installed; skips where there is none."""
    named = os.environ.get("CHROMIUM")
    if named or Path(playwrights_own).exists():
        return named or playwrights_own
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(
            "needs Chromium: install the package chromium, run `.venv/bin/playwright install "
            "chromium`, or name one in CHROMIUM"
        )
    return found


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    # Root has no sandbox to put pages into.
    options = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        path = executable(playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def server(tmp_path_factory, browser: Browser) -> Iterator[tuple[str, FakeGroq]]:
    """The address of a running product, and the script of its model."""
    port = free_port()
    with FakeGroq() as groq:
        model = {"GROQ_API_KEY": "gsk_test", "GROQ_BASE_URL": groq.url, "GROQ_MAX_RETRIES": 0}
        with served(tmp_path_factory.mktemp("page"), port, **model):
            yield f"http://127.0.0.1:{port}", groq


@pytest.fixture
def groq(server) -> FakeGroq:
    """The model behind the page; what an earlier test scripted is forgotten."""
    fake: FakeGroq = server[1]
    fake.server.replies.clear()
    fake.server.hung_up.clear()
    fake.received.clear()
    return fake


@pytest.fixture
def script(groq: FakeGroq) -> Callable[[Reply], None]:
    """What the model that answers says next; the small one, which writes titles, echoes."""

    def say(reply: Reply) -> None:
        def answering(handler: Handler, request: Received) -> None:
            if request.body["model"] == SMALL_MODEL:
                groq.server.replies.appendleft(answering)
                echo(handler, request)
            else:
                reply(handler, request)

        groq.script(answering)

    return say


@pytest.fixture
def page(server, groq, browser: Browser) -> Iterator[Page]:
    """The page as a new user has it. Whatever it complains of fails the test."""
    context = browser.new_context(base_url=server[0], reduced_motion="reduce")
    page = watched(context.new_page())
    page.goto("/")
    yield page
    context.close()
    assert page.complaints == []  # type: ignore[attr-defined]


def watched(page: Page) -> Page:
    """The same; errors of its scripts and breaches of its policy go to its `complaints`."""
    complaints: list[str] = []
    page.complaints = complaints  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.extend(breaches(message.text)))
    return page


def breaches(text: str) -> list[str]:
    return [text] if "Content Security Policy" in text or "TrustedHTML" in text else []


def ask(page: Page, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def add(page: Page, name: str, text: str) -> None:
    """Uploads a file and waits until it is read."""
    file = {"name": name, "mimeType": "text/plain", "buffer": text.encode()}
    page.set_input_files("#file", files=[file])
    expect(page.locator(".documents li", has_text=name)).to_contain_text("1 page")


def questions_asked(groq: FakeGroq) -> list[str]:
    """The last message of each prompt for an answer."""
    bodies = [one.body for one in groq.received if one.body["model"] != SMALL_MODEL]
    return [body["messages"][-1]["content"] for body in bodies]
