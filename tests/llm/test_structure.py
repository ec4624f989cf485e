"""Headings are found, page furniture is not one, and chunks know their section."""

import pytest

from llm.chunking import KnownHeading, chunk_pages
from llm.structure import Outline

PARAGRAPH = "The company sells things to people who like them, and it did so for many years. " * 3


def titles(*pages: str) -> list[str]:
    starts = [sum(len(page) + 1 for page in pages[:n]) for n in range(len(pages))]
    return [heading.title for heading in Outline(pages, starts).headings]


@pytest.mark.parametrize(
    "line",
    [
        "CONSOLIDATED BALANCE SHEETS",
        "Item 7A. Quantitative and Qualitative Disclosures",
        "Note 5 \u2013 Income Taxes",
        "3.2 Cleaning the Machine",
        "Liquidity and Capital Resources",
    ],
)
def test_headings(line):
    assert titles(f"It ends here.\n{line}\n{PARAGRAPH}") == [line]


@pytest.mark.parametrize(
    "line",
    [
        "Net sales 142,381 164,888 139,337",
        "The company sells things.",
        "and goes on in the next line without",
        "(in millions)",
        "2018 2017 2016",
        "IBM",
        "x" * 200,
        "\u2014 \u2014",
    ],
)
def test_no_headings(line):
    assert titles(f"It ends here.\n{line}\n{PARAGRAPH}") == []


def test_what_stands_on_many_pages_is_furniture():
    names = ["SALES", "STAFF", "TAXES", "RISKS", "LEASES"]
    pages = [f"ACME ANNUAL REPORT {n}\nON {name}\n{PARAGRAPH}" for n, name in enumerate(names)]

    assert titles(*pages) == [f"ON {name}" for name in names]


def test_chunks_know_their_section():
    text = f"NOTES TO THE STATEMENTS\nIncome Taxes\n{PARAGRAPH}\nLegal Matters\n{PARAGRAPH}"

    chunks = list(chunk_pages([text], words=60, overlap=10))

    assert chunks[0].section == "NOTES TO THE STATEMENTS > Income Taxes"
    assert chunks[-1].section == "NOTES TO THE STATEMENTS > Legal Matters"


def test_a_part_begins_a_chunk_and_repeats_nothing():
    text = f"{PARAGRAPH}\nCONSOLIDATED BALANCE SHEETS\n{PARAGRAPH}"

    first, second = chunk_pages([text], words=60, overlap=20)

    assert first.text == PARAGRAPH.strip()
    assert second.text.startswith("CONSOLIDATED BALANCE SHEETS")


def test_headings_that_the_document_names_itself_count():
    pages = [PARAGRAPH, f"cleaning\n{PARAGRAPH}"]
    known = [KnownHeading("How to clean it", page=2, offset=0, level=1)]

    chunks = list(chunk_pages(pages, words=60, overlap=10, known_headings=known))

    assert [chunk.section for chunk in chunks] == ["", "How to clean it"]


def test_a_table_is_cut_between_its_parts_rather_than_between_its_rows():
    rows = "\n".join(f"Item number {n} 1,234 5,678" for n in range(12))
    text = f"{rows}\nOf which some were sold to others\n{rows}"

    first, *_ = chunk_pages([text], words=70, overlap=0)

    assert first.text == f"{rows}\nOf which some were sold to others"
