"""A question in one vocabulary meets documents in another."""

import pytest

from llm.retrieval import Query
from llm.thesaurus import WEIGHT, expand, other_words


@pytest.mark.parametrize(
    ("question", "other"),
    [
        ("What is the FY2018 capital expenditure?", "purchases of property and equipment"),
        ("How many people work there? Give the headcount.", "employees"),
        ("Compute the quick ratio.", "current liabilities"),
        ("R&D spending", "research and development"),
        ("Selling, General & Administrative costs", "overhead"),
        ("INVENTORIES", "inventory"),
    ],
)
def test_other_words_for_what_is_asked(question, other):
    assert other in other_words(question)


def test_what_a_measure_is_worked_out_from_does_not_find_the_measure():
    assert "quick ratio" not in other_words("current liabilities")


def test_a_question_without_known_phrases_stays_as_it_is():
    query = Query((("When was Normandy conquered?", 1.0),))

    assert expand(query) == query


def test_other_words_weigh_less_than_the_text_they_stand_for():
    expanded = expand(Query((("capex", 0.8),)))

    (_, said), (others, weight) = expanded.texts
    assert (said, weight) == (0.8, 0.8 * WEIGHT)
    assert "capital expenditure" in others
