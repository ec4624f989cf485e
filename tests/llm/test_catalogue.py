"""Models, aliases and prices."""

from decimal import Decimal

import pytest

from llm import catalogue
from llm.messages import Usage


def test_an_alias_finds_its_model():
    assert catalogue.find("llama-3.1-70b-versatile").name == "llama-3.3-70b-versatile"


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(catalogue.UnknownModel, match=r"llama-3\.1-8b-instant"):
        catalogue.find("gpt-4")


def test_cost_is_tokens_times_prices():
    model = catalogue.find("llama-3.3-70b-versatile")

    assert model.cost(Usage(1_000_000, 0)) == Decimal("0.59")
    assert model.cost(Usage(1_000, 2_000)) == Decimal("0.00217")


def test_the_default_is_a_model():
    assert catalogue.find(catalogue.DEFAULT).name == catalogue.DEFAULT


def test_every_alias_points_at_a_model():
    assert set(catalogue.ALIASES.values()) <= catalogue.MODELS.keys()
