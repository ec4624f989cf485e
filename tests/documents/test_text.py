"""Cleaning: what is left can be stored, searched and shown, and words are whole."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents.extraction.text import clean, clean_pages


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("nul\0 bell\a escape\x1b[1m delete\x7f", "nul bell escape[1m delete"),
        ("a\tb", "a\tb"),
        ("lone \ud800 surrogate \udfff", "lone \ufffd surrogate \ufffd"),
        ("\U0001f600 stays", "\U0001f600 stays"),
        ("of\ufb01ce, a\ufb04uent, \ufb05", "office, affluent, st"),
        ("H₂O, x², ½, Å, ①", "H₂O, x², ½, Å, ①"),
        ("fixed\xa0and\u202fnarrow", "fixed and narrow"),
        ("trailing  \t\nspaces \xa0", "trailing\nspaces"),
        ("  indented\n    more", "  indented\n    more"),
        ("a\n\n\n\n\n\nb", "a\n\n\nb"),
        ("a\n\n\nb", "a\n\n\nb"),
        ("a\n \n\t\n  \n\nb", "a\n\n\nb"),
        ("\n\nedges\n\n", "edges"),
        ("\ufeffmark\u200bed", "marked"),
        ("soft\xadhyphen, at the line's \xad\nend", "softhyphen, at the line's end"),
        ("حبيبي", "حبيبي"),
        ("\ufea3\ufe92\ufef4\ufe92\ufef2 \ufefb", "حبيبي لا"),
        ("\u202bשלום\u200f\u202c \ufb2a", "שלום \u05e9\u05c1"),
        ("cafe\u0301 Gro\u0308\u00dfe \u1112\u1161\u11ab\u1100\u1173\u11af", "café Größe 한글"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("a" * 5000, "a" * 5000),
    ],
)
def test_characters_and_lines(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned


@pytest.mark.parametrize("broken", ["\x02", "\ufffe", "-\n", "-\r\n", "- \n", "\xad\n"])
def test_a_word_broken_at_a_line_end_is_joined(broken: str) -> None:
    assert clean(f"consec{broken}tetuer elit") == "consectetuer elit"


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("a third\x02party claim; the other party", "a third-party claim; the other party"),
        ("under\x02standing; understanding, standing", "understanding; understanding, standing"),
        ("Schwarz\x02Weiß", "Schwarz-Weiß"),
        ("Sarbanes-\nOxley", "Sarbanes-Oxley"),
        ("Form 10\x02K", "Form 10-K"),
        ("2018\x022019", "2018-2019"),
        ("2018-\n2019", "2018-\n2019"),
        ("a list:\n-\nitem", "a list:\n-\nitem"),
        ("math \x02 alone", "math  alone"),
        ("a dash \x02\nbelow \x02", "a dash\nbelow"),
    ],
)
def test_a_hyphen_of_the_word_itself_stays(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned


def test_another_page_of_the_document_may_know_the_word() -> None:
    assert clean_pages(["co\x02branded", "branded cards"]) == ["co-branded", "branded cards"]


@given(st.text(st.characters() | st.sampled_from("ab-\n\r \x02\xad\ufffe\0\ud800")))
def test_promises(raw: str) -> None:
    cleaned = clean(raw)

    cleaned.encode()
    assert not any(ord(char) < 32 and char not in "\n\t" for char in cleaned)
    assert not set(cleaned) & set("\x7f\x85\xad\ufffe\uffff\xa0")
    assert "\n\n\n\n" not in cleaned
    assert all(line == line.rstrip() for line in cleaned.split("\n"))


@pytest.mark.parametrize(
    "unit",
    [
        *("a", " ", "\n", "-", "\x02", "a \t", "a\x02", "a-\n", "\xad\n"),
        *("\u0301", "a\u0301\u0316", "\ufdfa", "\u202e", "\u1112\u1161"),
    ],
)
def test_hostile_repetition_takes_linear_time(unit: str) -> None:
    text = unit * 300_000 + "x"

    started = time.process_time()
    clean(text)

    assert time.process_time() - started < 3
