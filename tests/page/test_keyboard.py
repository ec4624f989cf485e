"""The chat page by keyboard alone."""

from playwright.sync_api import Page, expect

from tests.fake_groq import answer
from tests.page.conftest import ask


def focused(page: Page) -> str:
    """What the element with focus is called."""
    name = (
        "() => { const at = document.activeElement; return at.getAttribute('aria-label') "
        "|| at.labels?.[0]?.textContent || at.textContent; }"
    )
    return str(page.evaluate(name))


def name_it(page: Page, title: str) -> None:
    """Names the conversation that is open, which the small model would do at any moment."""
    user = page.evaluate("localStorage.getItem('botgpt.user')")
    address = f"/api/v1/conversations/{page.url.partition('#')[2]}"
    page.request.patch(address, params={"user_id": user}, data={"title": title})
    page.reload()
    expect(page.locator("#conversations a")).to_have_text(title)


def animal(title: str) -> str:
    return "okapis" if "okapis" in title else "zebras" if "zebras" in title else title


def test_enter_sends_and_shift_enter_begins_a_line(page: Page) -> None:
    question = page.get_by_label("Your question")
    expect(question).to_be_focused()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    expect(question).to_have_value("one\ntwo")
    page.keyboard.press("Enter")

    expect(page.locator(".bubble")).to_have_text("one\ntwo")
    expect(question).to_be_focused()


def test_escape_stops_an_answer(page: Page, script) -> None:
    script(answer("word " * 600, delay=0.1))
    ask(page, "Go on and on")
    expect(page.locator(".prose")).to_contain_text("word word")
    page.keyboard.press("Escape")

    expect(page.get_by_text("Stopped.").first).to_be_visible()
    expect(page.get_by_label("Your question")).to_be_focused()


def test_conversations_are_reached_by_slash_and_arrows(page: Page) -> None:
    for question in ("Of okapis", "Of zebras"):
        page.get_by_role("button", name="New conversation").focus()
        page.keyboard.press("Enter")
        ask(page, question)
        expect(page.locator(".assistant .meta")).to_be_visible()
    expect(page.locator("#conversations a")).to_have_count(2)

    page.get_by_label("Messages").focus()
    page.keyboard.press("/")
    expect(page.get_by_label("Search conversations")).to_be_focused()
    page.keyboard.press("ArrowDown")
    first = focused(page)
    page.keyboard.press("ArrowDown")
    second = focused(page)
    assert {animal(first), animal(second)} == {"okapis", "zebras"}
    page.keyboard.press("Enter")
    expect(page.locator(".bubble")).to_contain_text(animal(second))
    page.keyboard.press("Tab")
    assert focused(page).startswith("Actions")


def test_the_menu_of_a_row_is_used_by_keys(page: Page) -> None:
    ask(page, "Of okapis")
    expect(page.locator(".assistant .meta")).to_be_visible()
    name_it(page, "Okapis")
    actions = page.get_by_role("button", name="Actions")
    actions.focus()
    page.keyboard.press("Enter")
    expect(actions).to_have_attribute("aria-expanded", "true")
    assert focused(page) == "Rename"
    page.keyboard.press("ArrowUp")
    assert focused(page) == "Delete"
    page.keyboard.press("ArrowDown")
    assert focused(page) == "Rename"

    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_have_count(0)
    expect(actions).to_be_focused()
    expect(actions).to_have_attribute("aria-expanded", "false")


def test_escape_closes_a_menu_and_stops_no_answer(page: Page, script) -> None:
    script(answer("word " * 600, delay=0.1))
    ask(page, "Go on and on")
    expect(page.locator(".prose")).to_contain_text("word word")
    page.get_by_role("button", name="Actions").click()
    page.keyboard.press("Escape")

    expect(page.get_by_role("menu")).to_have_count(0)
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Stopped.").first).to_be_visible()


def test_a_slash_in_a_question_is_a_slash(page: Page) -> None:
    page.keyboard.type("and/or")

    expect(page.get_by_label("Your question")).to_have_value("and/or")


def test_every_stop_has_a_name_and_a_visible_outline(page: Page) -> None:
    ask(page, "Hello")
    expect(page.locator(".assistant .meta")).to_be_visible()
    page.get_by_role("link", name="Skip to the question").focus()
    names = []
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        names.append(focused(page).strip())
        outlined = page.evaluate(
            "() => { const at = document.activeElement; const by = (one, name) => "
            "getComputedStyle(one)[name]; return by(at, 'outlineStyle') !== 'none' "
            "|| by(at.closest('#composer') ?? at, 'boxShadow') !== 'none'; }"
        )
        assert outlined, f"{names[-1]} shows no focus"

    assert len(names) > 12
    assert all(names)
