"""The chat page in 360 pixels, dark and light."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fake_groq import answer
from tests.page.conftest import add, ask, watched

WIDE = f"""A {"very" * 60} long word, https://example.org/{"a" * 200} and `{"code" * 60}`.

| {" | ".join("column" * 2 for _ in range(12))} |
| {" | ".join("---" for _ in range(12))} |
| {" | ".join("cell" * 3 for _ in range(12))} |

```
{"x" * 300}
```

All of it [1].
"""


@pytest.fixture
def phone(server, groq, browser: Browser):
    context = browser.new_context(
        base_url=server[0],
        viewport={"width": 360, "height": 640},
        is_mobile=True,
        has_touch=True,
        color_scheme="dark",
        reduced_motion="reduce",
    )
    page = watched(context.new_page())
    page.goto("/")
    yield page
    context.close()
    assert page.complaints == []  # type: ignore[attr-defined]


# What stands out at either side, but for what scrolls by itself; and what has become scrollable.
OUTSIDE = """() => [...document.querySelectorAll("body, body *:not(pre *, .table *, .bar *)")]
  .filter(one => one.checkVisibility({ visibilityProperty: true }))
  .filter(one => {
    const { left, right } = one.getBoundingClientRect();
    const scrolls = one.matches("body, main, .messages, .panel-body, .sidebar, .conversations");
    return left < -1 || right > 361 || (scrolls && one.scrollWidth > one.clientWidth + 1);
  })
  .map(one => `${one.tagName} ${one.className} ${one.getBoundingClientRect().right}`)"""


def assert_fits(page: Page) -> None:
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate("visualViewport.width") == pytest.approx(360, abs=1)


def test_nothing_scrolls_sideways(phone: Page, script) -> None:
    assert_fits(phone)
    add(phone, f"{'long' * 30}.txt", f"Of {'w' * 400} and wide things.\n")
    assert_fits(phone)
    phone.get_by_role("button", name="Close", exact=True).tap()
    script(answer(WIDE))
    ask(phone, "What of wide things? " + "w" * 300)
    expect(phone.locator(".assistant .meta")).to_be_visible()
    assert_fits(phone)
    phone.locator("button.cite").first.tap()
    expect(phone.locator(".page-text")).to_be_visible()
    assert_fits(phone)


def test_the_list_is_a_drawer(phone: Page) -> None:
    ask(phone, "Hello there")
    expect(phone.locator(".assistant .meta")).to_be_visible()
    search = phone.get_by_label("Search conversations")
    expect(search).to_be_hidden()

    phone.get_by_role("button", name="Conversations").tap()
    expect(search).to_be_visible()
    assert_fits(phone)
    phone.get_by_role("button", name="New conversation").tap()

    expect(search).to_be_hidden()
    expect(phone.get_by_role("heading", name="What would you like to know?")).to_be_visible()


def test_colours_follow_the_system_or_the_switch(page: Page, phone: Page) -> None:
    def ground(one: Page) -> str:
        return str(one.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert ground(phone) != ground(page)
    page.get_by_role("button", name="Colours: as the system").click()
    page.get_by_role("button", name="Colours: light").click()
    expect(page.get_by_role("button", name="Colours: dark")).to_be_visible()
    assert ground(phone) == ground(page)

    page.reload()
    assert ground(phone) == ground(page)
