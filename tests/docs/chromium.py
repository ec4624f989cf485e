"""A script in Chromium, on a page of the product, for where there is no Node.js."""

import pytest
from playwright.sync_api import Error, sync_playwright

from tests.browser.conftest import OPTIONS, executable


def printed_by(script: str, address: str) -> str:
    """What the script logs; fails the test where it throws, and skips where no Chromium is."""
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        path = executable(playwright.chromium.executable_path)
        if path is None:
            pytest.skip("needs Node.js or Chromium")
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        try:
            page = browser.new_page()
            lines: list[str] = []
            page.on("console", lambda message: lines.append(message.text))
            page.goto(address)
            page.evaluate(f"async () => {{ {script} }}")
            return "\n".join([*lines, ""])
        except Error as error:
            pytest.fail(error.message)
        finally:
            browser.close()
