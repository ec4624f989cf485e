"""Questions and answers on the chat page: streamed, stopped, broken off, in several versions."""

import re
import threading

import pytest
from playwright.sync_api import Page, expect

from tests.fake_groq import answer, error, paused, stall
from tests.page.conftest import ask, questions_asked
from tests.page.line import Line

SLOW = " ".join(f"word{number}" for number in range(30))


@pytest.fixture
def go_on():
    """Lets a model that paused speak on; it does so at the latest when the test is over."""
    event = threading.Event()
    yield event
    event.set()


def last_answer(page: Page):
    return page.locator(".assistant").last


def test_words_are_shown_while_the_model_speaks(page: Page, script, go_on) -> None:
    script(paused("one two three **four** five", 2, go_on))

    ask(page, "Count")
    expect(last_answer(page)).to_contain_text("one two")
    expect(last_answer(page)).not_to_contain_text("five")
    go_on.set()
    expect(last_answer(page).locator(".prose")).to_have_text("one two three four five")

    expect(last_answer(page).locator("strong")).to_have_text("four")
    expect(last_answer(page).locator(".meta")).to_contain_text("120 tokens")
    expect(last_answer(page).locator(".meta")).to_contain_text("$0.000022")
    expect(page.get_by_role("status")).to_have_text("The answer is complete.")
    expect(page.locator("#conversations a[aria-current=page]")).to_be_visible()
    assert re.search(r"#[0-9a-f-]{36}$", page.url)


def test_stopping_keeps_what_was_said(page: Page, script, groq, go_on) -> None:
    script(paused(SLOW, 3, go_on))

    ask(page, "Count slowly")
    expect(last_answer(page)).to_contain_text("word2")
    page.get_by_role("button", name="Stop").click()

    expect(last_answer(page)).to_contain_text("Stopped.")
    go_on.set()
    expect(last_answer(page)).to_contain_text("word2")
    expect(last_answer(page)).not_to_contain_text("word29")
    assert groq.server.hung_up.wait(20), "the model is still being listened to"
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_a_reload_in_mid_answer_loses_nothing(page: Page, script, groq, go_on) -> None:
    script(paused(SLOW, 6, go_on))

    ask(page, "Count slowly")
    expect(last_answer(page)).to_contain_text("word3")
    page.reload()

    expect(last_answer(page)).to_contain_text("word5")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    go_on.set()
    expect(last_answer(page).locator(".prose")).to_have_text(SLOW)
    assert questions_asked(groq) == ["Count slowly"]


def test_a_connection_that_breaks_is_taken_up_again(browser, server, script, go_on, groq) -> None:
    with Line(server[0]) as line:
        page = browser.new_context(base_url=line.url).new_page()
        page.goto("/")
        script(paused(SLOW, 4, go_on))
        ask(page, "Count slowly")
        expect(last_answer(page)).to_contain_text("word3")
        line.cut()
        expect(page.get_by_text("The connection is lost.")).to_be_visible()
        line.mend()
        go_on.set()

        expect(last_answer(page).locator(".prose")).to_have_text(SLOW)
        expect(page.get_by_text("The connection is lost.")).to_be_hidden()
        page.context.close()
    assert questions_asked(groq) == ["Count slowly"]


def test_a_question_that_could_not_be_sent_is_sent_once(page: Page, groq) -> None:
    page.wait_for_load_state("networkidle")  # or the page's own start would fail as well
    page.context.set_offline(True)
    ask(page, "Are you there?")
    expect(page.get_by_role("alert").filter(has_text="Try again once")).to_be_visible()
    expect(page.get_by_label("Your question")).to_have_value("Are you there?")
    page.context.set_offline(False)
    # The browser's network is back a moment after it says so.
    page.wait_for_function("() => fetch('/health/live').then((told) => told.ok, () => false)")
    page.get_by_role("button", name="Try again").click()

    expect(last_answer(page)).to_contain_text("You asked: Are you there?")
    expect(page.get_by_label("Your question")).to_have_value("")
    assert questions_asked(groq) == ["Are you there?"]


def test_another_answer_keeps_the_first_as_a_branch(page: Page, script) -> None:
    script(answer("The first answer."))
    ask(page, "Tell me")
    expect(last_answer(page)).to_contain_text("The first answer.")

    script(answer("The second answer."))
    page.get_by_role("button", name="Answer anew").click()
    expect(last_answer(page)).to_contain_text("The second answer.")
    expect(last_answer(page)).to_contain_text("2/2")
    last_answer(page).get_by_role("button", name="Version before").click()

    expect(last_answer(page)).to_contain_text("The first answer.")
    expect(last_answer(page)).to_contain_text("1/2")
    expect(last_answer(page).get_by_role("button", name="Version before")).to_be_disabled()
    expect(last_answer(page).get_by_role("button", name="Version after")).to_be_focused()


def test_a_question_in_other_words_is_a_branch(page: Page) -> None:
    ask(page, "First words")
    expect(last_answer(page)).to_contain_text("You asked: First words")

    page.get_by_role("button", name="Ask in other words").click()
    page.get_by_label("The question in other words").fill("Other words")
    page.keyboard.press("Enter")
    expect(last_answer(page)).to_contain_text("You asked: Other words")
    page.locator(".user").get_by_role("button", name="Version before").click()

    expect(page.locator(".bubble")).to_have_text("First words")
    expect(last_answer(page)).to_contain_text("You asked: First words")


def test_a_failed_answer_is_told_and_asked_for_again(page: Page, script) -> None:
    script(error(429, {"retry-after": "30"}))
    ask(page, "Hello?")
    problem = page.get_by_role("alert").filter(has_text="rate limit")
    expect(problem).to_contain_text("30 seconds")

    script(answer("Here I am."))
    problem.get_by_role("button", name="Try again").click()

    expect(last_answer(page).locator(".prose")).to_have_text("Here I am.")
    expect(problem).to_be_hidden()
    expect(page.locator(".message")).to_have_count(2)


def test_an_answer_that_breaks_off_keeps_its_words(page: Page, script) -> None:
    script(stall(0.3))

    ask(page, "Hello?")

    expect(last_answer(page).get_by_role("alert")).to_be_visible()
    expect(last_answer(page).locator(".prose")).to_have_text("good")


def test_a_refused_question_stays_in_its_field(page: Page) -> None:
    page.get_by_role("radio", name="Documents").check()
    ask(page, "What does a ticket cost?")

    refusal = page.get_by_role("alert").filter(has_text="There is no document to answer from")
    expect(refusal.get_by_role("button", name="Choose files")).to_be_visible()
    expect(page.get_by_label("Your question")).to_have_value("What does a ticket cost?")
    expect(page.locator(".message")).to_have_count(0)


def test_a_conversation_that_is_not_there_is_told(page: Page) -> None:
    page.goto("/#5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11")

    expect(page.get_by_role("alert").filter(has_text="is not there")).to_be_visible()
    expect(page.get_by_role("heading", name="New conversation")).to_be_visible()


def test_earlier_messages_of_a_long_conversation_can_be_read(page: Page, server) -> None:
    user = page.evaluate("localStorage.getItem('botgpt.user')")
    body = {"user_id": user, "first_message": "Question 0"}
    conversation = page.request.post("/api/v1/conversations", data=body).json()["id"]
    for number in range(1, 27):
        address = f"/api/v1/conversations/{conversation}/messages"
        page.request.post(address, data={"content": f"Question {number}"})

    page.goto(f"/#{conversation}")
    expect(page.locator(".bubble").last).to_have_text("Question 26")
    expect(page.locator(".bubble").first).to_have_text("Question 2")
    page.get_by_role("button", name="Show earlier messages").click()

    expect(page.locator(".bubble").first).to_have_text("Question 0")
    expect(page.locator(".message")).to_have_count(54)
    expect(page.get_by_role("button", name="Show earlier messages")).to_be_hidden()
