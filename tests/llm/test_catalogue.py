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


def test_cached_tokens_cost_half_where_the_provider_has_a_prompt_cache():
    usage = Usage(1_000_000, 0, cached_tokens=400_000)

    assert catalogue.find("openai/gpt-oss-120b").cost(usage) == Decimal("0.12")
    assert catalogue.find("llama-3.3-70b-versatile").cost(usage) == Decimal("0.59")


def test_an_answer_is_no_longer_than_its_model_can_write():
    model = catalogue.find("openai/gpt-oss-20b")

    assert model.answer_tokens(500) == 500
    assert model.answer_tokens(1_000_000) == model.max_output == 65_536


def test_the_default_is_a_model():
    assert catalogue.find(catalogue.DEFAULT).name == catalogue.DEFAULT


def test_every_alias_points_at_a_model():
    assert set(catalogue.ALIASES.values()) <= catalogue.MODELS.keys()
