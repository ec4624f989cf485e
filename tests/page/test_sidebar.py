"""The conversations at the side: found, renamed, archived, deleted."""

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import ask
from tests.waiting import wait_for


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


def choose(page: Page, title: str, action: str) -> None:
    """An action of a row's menu."""
    row(page, title).get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name=action, exact=True).click()


def undo(page: Page) -> None:
    page.get_by_role("button", name="Undo").click()


def stored(page: Page, **query: str) -> list[str]:
    """The titles of the user's conversations, as the API has them."""
    user = page.evaluate("localStorage.getItem('botgpt.user')")
    found = page.request.get("/api/v1/conversations", params={"user_id": user, **query}).json()
    return [one["title"] for one in found["results"]]


def test_a_search_finds_messages_and_opens_them(two: Page) -> None:
    two.get_by_label("Search conversations").fill("okapis")
    found = row(two, "okapis").filter(has=two.locator(".snippet mark")).first
    found.get_by_role("link").click()

    expect(two.locator(".bubble")).to_have_text("Tell me of okapis")
    expect(row(two, "zebras")).to_have_count(0)


def test_a_conversation_gets_another_name(two: Page) -> None:
    choose(two, "okapis", "Rename")
    two.get_by_role("dialog").get_by_role("textbox").fill("Animals of the forest")
    two.keyboard.press("Enter")

    expect(row(two, "Animals of the forest")).to_be_visible()
    expect(row(two, "okapis")).to_have_count(0)


def test_archived_ones_are_apart_and_come_back(two: Page) -> None:
    choose(two, "okapis", "Archive")
    expect(row(two, "okapis")).to_have_count(0)

    two.get_by_role("button", name="Archived conversations").click()
    expect(row(two, "zebras")).to_have_count(0)
    choose(two, "okapis", "Unarchive")
    expect(two.get_by_text("Nothing is archived.")).to_be_visible()
    two.get_by_role("button", name="Archived conversations").click()

    expect(row(two, "okapis")).to_be_visible()


def test_archiving_is_undone_where_the_conversation_was_open(two: Page) -> None:
    places = stored(two)
    choose(two, "okapis", "Archive")
    undo(two)
    choose(two, "zebras", "Archive")
    expect(two.get_by_role("heading", name="What would you like to know?")).to_be_visible()

    undo(two)

    expect(two.locator(".bubble")).to_have_text("Tell me of zebras")
    expect(row(two, "zebras")).to_be_visible()
    expect(two.get_by_role("button", name="Undo")).to_have_count(0)
    assert stored(two) == places


def test_a_menu_stays_open_while_the_list_is_refreshed(two: Page) -> None:
    row(two, "okapis").get_by_role("button", name="Actions").click()
    two.evaluate("document.querySelector('#search').dispatchEvent(new Event('input'))")
    with two.expect_response(lambda response: "/conversations?" in response.url):
        pass
    expect(two.get_by_role("menu")).to_be_visible()


def test_deleting_is_undone_before_anything_was_sent(two: Page) -> None:
    sent = []
    two.on("request", lambda request: sent.append(request.method))
    choose(two, "zebras", "Delete")
    expect(row(two, "zebras")).to_have_count(0)
    assert len(stored(two)) == 2

    undo(two)

    expect(row(two, "zebras")).to_be_visible()
    expect(two.locator(".bubble")).to_have_text("Tell me of zebras")
    assert "DELETE" not in sent


def test_what_is_deleted_is_gone_after_some_seconds(two: Page) -> None:
    two.clock.install()
    choose(two, "zebras", "Delete")
    expect(two.get_by_role("button", name="Undo")).to_be_visible()

    with two.expect_response(lambda response: response.request.method == "DELETE"):
        two.clock.run_for(9_000)

    expect(two.get_by_role("button", name="Undo")).to_have_count(0)
    assert len(stored(two)) == 1


def test_it_can_be_undone_for_as_long_as_the_pointer_is_there(two: Page) -> None:
    two.clock.install()
    choose(two, "zebras", "Delete")
    two.get_by_role("button", name="Undo").hover()
    two.clock.run_for(60_000)

    undo(two)

    assert len(stored(two)) == 2


def test_a_second_deletion_ends_the_time_of_the_first(two: Page) -> None:
    choose(two, "zebras", "Delete")
    with two.expect_response(lambda response: response.request.method == "DELETE"):
        choose(two, "okapis", "Delete")

    undo(two)

    expect(row(two, "okapis")).to_be_visible()
    expect(row(two, "zebras")).to_have_count(0)
    assert len(stored(two)) == 1


def test_what_is_deleted_is_gone_when_the_page_is_left(two: Page) -> None:
    choose(two, "zebras", "Delete")
    expect(two.get_by_role("button", name="Undo")).to_be_visible()
    two.goto("/docs")

    wait_for(lambda: len(stored(two)) == 1)


def test_what_cannot_be_deleted_comes_back(two: Page) -> None:
    two.clock.install()
    two.route("**/api/v1/conversations/*", lambda route: route.abort())
    choose(two, "zebras", "Delete")
    expect(row(two, "zebras")).to_have_count(0)

    two.clock.run_for(9_000)

    expect(row(two, "zebras")).to_be_visible()
    expect(two.get_by_role("alert")).to_be_visible()
