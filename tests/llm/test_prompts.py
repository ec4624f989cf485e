"""Prompts for summaries and titles are bounded, and what models make of them is cleaned."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm import prompts
from llm.messages import ChatMessage

LONG = "word " * 10_000


def length(messages):
    return sum(len(message.content) for message in messages)


def test_a_summary_is_made_from_the_one_before_and_the_messages():
    said = [ChatMessage("user", "Call me Ada."), ChatMessage("assistant", "Gladly, Ada.")]

    system, asked = prompts.summarise("They met.", said)

    assert system == ChatMessage("system", prompts.SUMMARISE)
    for text in ("They met.", "User: Call me Ada.", "Assistant: Gladly, Ada."):
        assert text in asked.content


@settings(max_examples=50, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(st.sampled_from([0, 10, 500, 9_000, 200_000]), max_size=300),
)
def test_a_prompt_for_a_summary_is_bounded(previous, sizes):
    said = [ChatMessage("assistant", "a" * size) for size in sizes]

    frame = length(prompts.summarise("", []))
    bound = frame + prompts.SUMMARY_CHARS + prompts.SUMMARISE_CHARS
    assert length(prompts.summarise("s" * previous, said)) <= bound


def test_long_messages_lose_their_middle_and_short_ones_nothing():
    said = [ChatMessage("user", "Call me Ada."), ChatMessage("user", f"First. {LONG} Last?")]

    asked = prompts.summarise("", said)[1].content

    assert len(asked) > prompts.SUMMARISE_CHARS - 10
    for text in ("Call me Ada.\n", "First. word", "word  Last?"):
        assert text in asked


def test_a_summary_never_grows_beyond_its_bound():
    summary = ""
    for _ in range(5):
        asked = prompts.summarise(summary, [ChatMessage("user", LONG)])
        summary = prompts.clean_summary(asked[1].content)

    assert prompts.SUMMARY_CHARS - 20 < len(summary) <= prompts.SUMMARY_CHARS


@pytest.mark.parametrize("text", ["", "  \n", "...", "<>"])
def test_a_summary_that_says_nothing_is_none(text):
    assert prompts.clean_summary(text) == ""


def test_a_title_is_made_from_the_beginning_and_end_of_long_messages():
    system, asked = prompts.title(f"About Mars: {LONG}", "Mars is red.")

    assert system == ChatMessage("system", prompts.TITLE)
    assert "About Mars" in asked.content
    assert "Mars is red." in asked.content
    assert len(asked.content) < 2 * prompts.TITLE_MESSAGE_CHARS


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Opening hours of the museum", "Opening hours of the museum"),
        ('"Opening hours."', "Opening hours"),
        ("**Title:** Opening hours", "Opening hours"),
        ("**Title**: Opening hours", "Opening hours"),
        ("# Opening   hours\n\nThis names the topic.", "Opening hours"),
        ("\n\n«Horaires d'ouverture»", "Horaires d'ouverture"),
        ("Título: “Horario del museo”", "Horario del museo"),
        ("博物馆的开放时间。", "博物馆的开放时间"),
        ("What's new in C++?", "What's new in C++?"),
        ("word " * 30, "word " * 15 + "word"),
        ("字" * 100, "字" * 80),
        ("字 " + "字" * 100, "字 " + "字" * 78),
        ("A" * 79 + " B", "A" * 79),
        ("", ""),
        (' "..." \n---\n', ""),
    ],
)
def test_a_title_is_cleaned(said, title):
    assert prompts.clean_title(said) == title


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_a_title_is_one_short_line(said):
    title = prompts.clean_title(said)

    assert len(title) <= prompts.TITLE_CHARS
    assert len(title.splitlines()) <= 1
    assert title == title.strip()
    assert title == "" or any(letter.isalnum() for letter in title)
