"""Chunks quote the source exactly, leave nothing out, overlap, and end where it reads well."""

import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm.chunking import CHARS_PER_WORD, Chunk, chunk_pages

WORD = st.text(alphabet="abÄ日。é.!?)\U0001f600", min_size=1, max_size=12)
LONG_WORD = st.integers(min_value=50, max_value=700).map(lambda length: "x" * length)
SPACE = st.sampled_from([" ", " ", " ", "\n", "\n\n", ". ", ".\n", "\t", "\u3000", " " * 300])
PAGE = st.lists(st.one_of(WORD, SPACE, LONG_WORD), max_size=60).map("".join)
PAGES = st.lists(st.one_of(PAGE, st.just("")), max_size=6)


def quoted(pages: Sequence[str], chunk: Chunk) -> str:
    """The stretch of the source that a chunk says it is."""
    if chunk.page_start == chunk.page_end:
        return pages[chunk.page_start - 1][chunk.char_start : chunk.char_end]
    first = pages[chunk.page_start - 1][chunk.char_start :]
    middle = pages[chunk.page_start : chunk.page_end - 1]
    last = pages[chunk.page_end - 1][: chunk.char_end]
    return "\n".join([first, *middle, last])


def span(pages: Sequence[str], chunk: Chunk) -> tuple[int, int]:
    """A chunk's offsets in the pages joined by line feeds."""
    starts = [sum(len(page) + 1 for page in pages[:number]) for number in range(len(pages))]
    return (
        starts[chunk.page_start - 1] + chunk.char_start,
        starts[chunk.page_end - 1] + chunk.char_end,
    )


def prose(sentences: int, words: int = 12) -> str:
    return " ".join(
        f"Sentence {number} " + " ".join(["word"] * (words - 3)) + " ends."
        for number in range(sentences)
    )


@settings(max_examples=200, deadline=None)
@given(PAGES, st.integers(min_value=1, max_value=30), st.data())
def test_chunks_quote_the_source_and_cover_it(
    pages: list[str], words: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(min_value=0, max_value=words - 1))

    chunks = list(chunk_pages(pages, words=words, overlap=overlap))

    covered = 0
    joined = "\n".join(pages)
    for ordinal, chunk in enumerate(chunks):
        start, end = span(pages, chunk)
        assert chunk.ordinal == ordinal
        assert chunk.text == quoted(pages, chunk)
        assert chunk.text == chunk.text.strip() != ""
        assert len(chunk.text) <= CHARS_PER_WORD * words
        assert len(chunk.text.split()) <= words
        assert not joined[covered:start].strip(), "text between two chunks is lost"
        assert end > covered, "a chunk brings nothing new"
        covered = end
    assert not joined[covered:].strip()


def test_long_text_overlaps_by_about_the_words_asked_for() -> None:
    pages = [prose(60), prose(60)]

    spans = [span(pages, chunk) for chunk in chunk_pages(pages)]

    joined = "\n".join(pages)
    shared = [len(joined[second[0] : first[1]].split()) for first, second in pairwise(spans)]
    assert len(shared) >= 6
    assert all(20 <= words <= 60 for words in shared)


def test_no_overlap_when_none_is_asked_for() -> None:
    text = prose(100)

    chunks = list(chunk_pages([text], overlap=0))

    assert " ".join(chunk.text for chunk in chunks) == text


def test_chunks_begin_and_end_with_sentences() -> None:
    chunks = list(chunk_pages([prose(100)]))

    assert all(chunk.text.startswith("Sentence") for chunk in chunks)
    assert all(chunk.text.endswith("ends.") for chunk in chunks)


def test_a_paragraph_border_is_better_than_a_later_sentence() -> None:
    text = prose(15) + "\n\n" + prose(30)

    first = next(iter(chunk_pages([text])))

    assert first.text == prose(15)


def test_rows_of_a_table_stay_whole() -> None:
    row = "Net sales of things 142,381 164,888 139,337"

    chunks = list(chunk_pages(["\n".join([row] * 200)]))

    assert all(set(chunk.text.split("\n")) == {row} for chunk in chunks)


def test_abbreviations_and_decimals_end_no_sentence() -> None:
    text = " ".join(
        ["approx. 3.5 of it,"] * 40 + ["Here it ends. Then"] + ["approx. 3.5 of it,"] * 60
    )

    first = next(iter(chunk_pages([text], words=180)))

    assert first.text.endswith("Here it ends.")


def test_a_chunk_runs_across_pages() -> None:
    pages = ["The first page breaks in", "", "the middle of a sentence."]

    [chunk] = chunk_pages(pages)

    assert chunk == Chunk(0, "\n".join(pages), 1, 3, 0, len(pages[2]))


def test_a_word_of_5000_letters_is_cut() -> None:
    word = "".join(chr(ord("a") + number % 26) for number in range(5000))

    chunks = list(chunk_pages([f"before {word} after"], words=50, overlap=0))

    assert len(chunks) > 10
    assert max(len(chunk.text) for chunk in chunks) <= 400
    assert "".join(chunk.text for chunk in chunks).replace(" ", "") == f"before{word}after"


def test_text_without_spaces_breaks_at_its_full_stops() -> None:
    chunks = list(chunk_pages(["東京は日本の首都です。" * 500], words=50, overlap=10))

    assert all(chunk.text.endswith("。") for chunk in chunks)


@pytest.mark.parametrize("pages", [[], [""], [" \n", "\t", ""]])
def test_pages_without_text_give_no_chunks(pages: list[str]) -> None:
    assert list(chunk_pages(pages)) == []


@pytest.mark.parametrize(("words", "overlap"), [(0, 0), (10, 10), (10, -1)])
def test_impossible_sizes_are_refused(words: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap < words"):
        list(chunk_pages(["text"], words=words, overlap=overlap))


def test_five_megabytes_take_seconds() -> None:
    page = prose(40)
    pages = [page] * (5_000_000 // len(page))

    started = time.process_time()
    count = sum(1 for _ in chunk_pages(pages))

    assert count > 3000
    assert time.process_time() - started < 5
