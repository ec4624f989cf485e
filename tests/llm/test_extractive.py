"""Answers without a model: the right words, quoted exactly, on one page."""

from uuid import uuid4

from llm import extractive
from llm.passages import Passage


def passage(text, **fields):
    fields = {"page_start": 4, "page_end": 4, "char_start": 0, "page_breaks": (), **fields}
    return Passage(uuid4(), uuid4(), "report.pdf", text, 1.0, **fields)


def test_the_sentence_that_bears_on_the_question_is_quoted():
    found = passage("It rains a lot. The bridge was built in 1932 by two brothers. It is red.")

    span = extractive.quote("Who built the bridge?", found, [found])

    assert found.text[span.start : span.end] == "The bridge was built in 1932 by two brothers."


def test_an_amount_asked_for_prefers_the_row_that_has_one():
    prose = passage("Net sales of phones decreased during 2019 due to lower phone net sales.")
    table = passage("Net sales by category in 2019:\nPhones $ 142,381 (14)%\nLaptops $ 25,740")

    answer = extractive.answer("What were net sales of phones in 2019?", [prose, table])

    assert answer.index("142,381") < answer.index("decreased")
    assert "[2] report.pdf, page 4" in answer


def test_a_quote_never_crosses_a_page():
    text = "The tower is tall\nand it is old. The tower is red."
    found = passage(text, page_end=5, char_start=100, page_breaks=(18,))

    span = extractive.quote("How old is the tower?", found, [found])

    first_page, _ = found.page_at(span.start)
    last_page, _ = found.page_at(span.end - 1)
    assert first_page == last_page


def test_offsets_map_to_the_page_they_stand_on():
    found = passage("ab\ncdef", page_end=5, char_start=100, page_breaks=(3,))

    assert found.page_at(0) == (4, 100)
    assert found.page_at(1) == (4, 101)
    assert found.page_at(3) == (5, 0)
    assert found.page_at(6) == (5, 3)


def test_the_same_words_are_quoted_once():
    twins = [passage("The same words stand here."), passage("The same words stand here.")]

    assert extractive.answer("Which words stand here?", twins).count("same words") == 1


def test_text_of_one_endless_line_is_quoted_in_part():
    found = passage("word " * 5000)

    span = extractive.quote("Which word?", found, [found])

    assert 0 < span.end - span.start <= extractive.QUOTE_CHARS


def test_a_question_that_shares_no_word_still_gets_a_quote():
    found = passage("Something else entirely.")

    span = extractive.quote("¿Qué?", found, [found])

    assert found.text[span.start : span.end]
