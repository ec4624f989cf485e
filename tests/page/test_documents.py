"""Documents on the chat page: sent by button and by drop, with progress, chosen and cited."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.fake_groq import answer
from tests.page.conftest import add, ask, questions_asked

MUSEUM = "Opening hours\n\nIt opens at nine.\n\nTickets\n\nA 🎟 ticket costs 14.50 euros.\n"
# Every text that the panel shows, as it comes.
WATCH = """() => {
  window.seen = [];
  const look = () => window.seen.push(document.querySelector(".documents")?.textContent ?? "");
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}"""


@pytest.fixture
def museum(page: Page) -> Page:
    add(page, "museum.txt", MUSEUM)
    return page


def test_sending_and_reading_tell_how_far_they_are(page: Page, sample) -> None:
    page.evaluate(WATCH)
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 2_000_000}
    network.send("Network.emulateNetworkConditions", slow)

    page.set_input_files("#file", sample("EBAY_2018_10K.pdf"))
    row = page.locator(".documents li", has_text="EBAY_2018_10K.pdf")
    expect(row).to_contain_text("187 pages, 1.3 MB", timeout=20_000)

    seen = " ".join(page.evaluate("window.seen"))
    assert len(set(re.findall(r"Sending, ([1-9]\d?) %", seen))) > 1
    assert re.search(r"Reading, \d+ of 187 pages", seen)
    expect(row.get_by_role("progressbar")).to_have_count(0)


def test_files_are_dropped_anywhere(page: Page) -> None:
    files = page.evaluate_handle(
        "() => { const all = new DataTransfer(); all.items.add(new File(['Eats leaves.'], "
        "'okapi.txt')); return all; }"
    )
    page.dispatch_event("main", "dragover", {"dataTransfer": files})
    expect(page.get_by_text("Drop PDF or text files")).to_be_visible()
    page.dispatch_event("main", "drop", {"dataTransfer": files})

    expect(page.get_by_text("Drop PDF or text files")).to_be_hidden()
    expect(page.locator(".documents li", has_text="okapi.txt")).to_contain_text("1 page")
    expect(page.get_by_role("radio", name="Documents")).to_be_checked()


def test_a_file_of_another_kind_is_told(page: Page) -> None:
    content = b"\x89PNG\r\n\x1a\n" + bytes(80)
    photo = {"name": "photo.png", "mimeType": "image/png", "buffer": content}
    page.set_input_files("#file", files=[photo])

    row = page.locator(".documents li", has_text="photo.png")
    expect(row.get_by_role("alert")).to_contain_text("neither a PDF nor plain text")
    row.get_by_role("button", name="Put away").click()
    expect(row).to_have_count(0)


def test_a_citation_opens_its_page_with_the_quote_marked(museum: Page, script) -> None:
    script(answer("It costs 14.50 euros [1]. Of [7] nothing is known."))

    ask(museum, "What does a ticket cost?")
    chip = museum.locator(".prose").get_by_role("button", name="Source 1: museum.txt, page 1")
    chip.click()

    panel = museum.get_by_role("complementary", name="museum.txt")
    expect(panel.locator("mark")).to_contain_text("ticket costs 14.50 euros")
    expect(panel.locator(".page-text")).to_contain_text("It opens at nine.")
    expect(panel).to_contain_text("Page 1 of 1")
    expect(panel).to_contain_text("quote checked")
    museum.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(chip).to_be_focused()


def test_the_quote_of_a_deleted_document_stays(museum: Page, script) -> None:
    script(answer("It costs 14.50 euros [1]."))
    ask(museum, "What does a ticket cost?")
    expect(museum.get_by_role("group", name="Sources")).to_contain_text("museum.txt, page 1")

    museum.get_by_role("button", name="Delete: museum.txt").click()
    museum.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(museum.locator(".documents li")).to_have_count(0)
    museum.reload()
    museum.get_by_role("button", name="Source 1").click()

    expect(museum.get_by_text("The document was deleted.")).to_be_visible()
    expect(museum.locator("#panel mark")).to_contain_text("ticket costs 14.50 euros")


def test_answers_come_from_the_chosen_documents(museum: Page, groq) -> None:
    add(museum, "zoo.txt", "A ticket of the zoo costs 3 euros.\n")
    museum.locator(".documents li", has_text="zoo.txt").get_by_role("checkbox").check()
    expect(museum.get_by_text("Answers come from 1 document.")).to_be_visible()

    ask(museum, "What does a ticket cost?")
    expect(museum.get_by_role("group", name="Sources")).to_contain_text("zoo.txt")

    prompt = questions_asked(groq)[0]
    assert 'document="zoo.txt"' in prompt
    assert 'document="museum.txt"' not in prompt
    museum.reload()
    expect(museum.get_by_role("button", name="1 document")).to_be_visible()


def test_the_file_can_be_downloaded(museum: Page) -> None:
    with museum.expect_download() as download:
        museum.get_by_role("button", name="Download: museum.txt").click()

    assert download.value.suggested_filename == "museum.txt"
    assert download.value.path().read_text() == MUSEUM
