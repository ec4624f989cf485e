"""The conversations at the side: found, renamed, archived, deleted."""

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import ask


@pytest.fixture
def two(page: Page) -> Page:
    """Two conversations, the second of them open."""
    for question in ("Tell me of okapis", "Tell me of zebras"):
        page.get_by_role("button", name="New conversation").click()
        ask(page, question)
        expect(page.locator(".assistant .meta")).to_be_visible()
    expect(page.locator("#conversations a")).to_have_count(2)
    return page


def row(page: Page, title: str):
    return page.locator("#conversations li", has_text=title)


def press(page: Page, title: str, button: str) -> None:
    """A button of a row, which is shown while the row has focus or the pointer."""
    row(page, title).get_by_role("link").focus()
    row(page, title).get_by_role("button", name=button).click()


def test_a_search_finds_messages_and_opens_them(two: Page) -> None:
    two.get_by_label("Search conversations").fill("okapis")
    found = row(two, "okapis").filter(has=two.locator(".snippet mark")).first
    found.get_by_role("link").click()

    expect(two.locator(".bubble")).to_have_text("Tell me of okapis")
    expect(row(two, "zebras")).to_have_count(0)


def test_a_conversation_gets_another_name(two: Page) -> None:
    press(two, "okapis", "Rename")
    two.get_by_role("dialog").get_by_role("textbox").fill("Animals of the forest")
    two.keyboard.press("Enter")

    expect(row(two, "Animals of the forest")).to_be_visible()
    expect(row(two, "okapis")).to_have_count(0)


def test_archived_ones_are_apart_and_come_back(two: Page) -> None:
    press(two, "okapis", "Archive")
    expect(row(two, "okapis")).to_have_count(0)

    two.get_by_role("button", name="Archived conversations").click()
    expect(row(two, "zebras")).to_have_count(0)
    press(two, "okapis", "Take out of the archive")
    expect(two.get_by_text("Nothing is archived.")).to_be_visible()
    two.get_by_role("button", name="Archived conversations").click()

    expect(row(two, "okapis")).to_be_visible()


def test_deleting_asks_first(two: Page) -> None:
    press(two, "zebras", "Delete")
    two.get_by_role("button", name="Keep it").click()
    expect(row(two, "zebras")).to_be_visible()

    press(two, "zebras", "Delete")
    two.get_by_role("dialog").get_by_role("button", name="Delete").click()

    expect(row(two, "zebras")).to_have_count(0)
    expect(two.get_by_role("heading", name="What would you like to know?")).to_be_visible()
