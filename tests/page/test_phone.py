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


# Controls that a tap would reach although nobody sees them.
UNSEEN = """() => {
  const unseen = new Set();
  for (let y = 4; y < innerHeight; y += 8) {
    for (let x = 4; x < innerWidth; x += 8) {
      const control = document.elementFromPoint(x, y)?.closest("a, button, input");
      const label = control?.closest("label") ?? control;
      if (label && !label.checkVisibility({ opacityProperty: true, visibilityProperty: true })) {
        unseen.add(control.outerHTML.slice(0, 80));
      }
    }
  }
  return [...unseen];
}"""


def open_drawer(phone: Page) -> None:
    phone.get_by_role("button", name="Conversations", exact=True).tap()
    expect(phone.get_by_label("Search conversations")).to_be_visible()


@pytest.fixture
def two(phone: Page) -> Page:
    """Two conversations, with the list of them open."""
    for question in ("Tell me of okapis", "Tell me of zebras"):
        open_drawer(phone)
        phone.get_by_role("button", name="New conversation").tap()
        ask(phone, question)
        expect(phone.locator(".assistant .meta")).to_be_visible()
    open_drawer(phone)
    return phone


def row(phone: Page, title: str):
    return phone.locator("#conversations li", has_text=title)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.7, 0.8])
def test_a_tap_on_a_row_opens_its_conversation(two: Page, share) -> None:
    link = row(two, "okapis").get_by_role("link").bounding_box()
    whole = row(two, "okapis").bounding_box()
    x = whole["x"] + whole["width"] * share

    two.touchscreen.tap(x, link["y"] + link["height"] / 2)

    expect(two.locator(".bubble")).to_have_text("Tell me of okapis")
    open_drawer(two)
    expect(two.locator("#conversations li")).to_have_count(2)


def test_actions_are_behind_a_button_that_is_seen_and_large_enough(two: Page) -> None:
    button = row(two, "okapis").get_by_role("button", name="Actions")
    place = button.bounding_box()
    assert min(place["width"], place["height"]) >= 44

    button.tap()
    for item in two.get_by_role("menuitem").all():
        assert item.bounding_box()["height"] >= 44
    assert_fits(two)
    two.get_by_role("menuitem", name="Archive").tap()
    expect(row(two, "okapis")).to_have_count(0)
    assert_fits(two)
    two.get_by_role("button", name="Undo").tap()

    expect(row(two, "okapis")).to_be_visible()


def test_a_conversation_that_was_deleted_by_a_slip_comes_back(two: Page) -> None:
    row(two, "okapis").get_by_role("button", name="Actions").tap()
    two.get_by_role("menuitem", name="Delete").tap()
    expect(row(two, "okapis")).to_have_count(0)

    two.get_by_role("button", name="Undo").tap()

    expect(row(two, "okapis")).to_be_visible()


def test_no_tap_reaches_what_is_not_seen(two: Page, script) -> None:
    assert two.evaluate(UNSEEN) == []
    row(two, "okapis").get_by_role("button", name="Actions").tap()
    assert two.evaluate(UNSEEN) == []
    two.touchscreen.tap(350, 630)  # closes the menu, and the list with it
    open_drawer(two)
    two.get_by_role("button", name="New conversation").tap()
    assert two.evaluate(UNSEEN) == []
    add(two, "museum.txt", "A ticket costs 14.50 euros.\n")
    assert two.evaluate(UNSEEN) == []
    two.get_by_role("button", name="Close", exact=True).tap()
    script(answer("It costs 14.50 euros [1]."))
    ask(two, "What does a ticket cost?")
    expect(two.locator(".assistant .meta")).to_be_visible()
    assert two.evaluate(UNSEEN) == []


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
