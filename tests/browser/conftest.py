"""A real browser: Playwright with the Chromium or Chrome of the machine."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
ELSEWHERE = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)
# No calls of its own to its makers; and none of the sandbox that a root's container refuses.
OPTIONS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    *(["--no-sandbox"] if os.getuid() == 0 else []),
]


def executable(downloaded: str) -> str | None:
    """Playwright's own where it was downloaded, else the machine's; None where there is none."""
    found = (shutil.which(name) for name in NAMES)
    installed = (str(path) for path in ELSEWHERE if path.exists())
    own = [downloaded] if Path(downloaded).exists() else []
    return next((path for path in (*own, *found, *installed) if path), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all tests of a file. Its loop runs in this thread, where Django fears for queries."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        path = executable(playwright.chromium.executable_path)
        if path is None:
            pytest.skip(f"needs Chromium or Chrome: none of {', '.join(NAMES)} is installed")
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()
