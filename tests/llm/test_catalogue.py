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


def test_the_default_is_a_model_that_every_key_is_served():
    assert catalogue.find(catalogue.DEFAULT).name == catalogue.DEFAULT == "openai/gpt-oss-120b"
    assert not catalogue.find(catalogue.DEFAULT).successor


def test_the_models_of_qwen_have_their_windows_and_prices():
    usage = Usage(2_000_000, 1_000_000, cached_tokens=1_000_000)
    large, former = catalogue.find("qwen/qwen3.8-27b"), catalogue.find("qwen/qwen3.6-27b")

    assert (large.context_window, large.max_output) == (131_042, 16_384)
    assert (former.context_window, former.max_output) == (131_072, 16_384)
    assert large.cost(usage) == Decimal("0.80") + Decimal("0.40") + Decimal("4.00")
    assert former.cost(usage) == Decimal("0.60") + Decimal("0.30") + Decimal("3.00")


def test_a_successor_takes_what_its_model_was_asked():
    replaced = [model for model in catalogue.MODELS.values() if model.successor]

    assert [model.name for model in replaced] == ["llama-3.3-70b-versatile", "llama-3.1-8b-instant"]
    for model in replaced:
        successor = catalogue.find(model.successor)
        assert successor.successor == ""
        # A prompt that was fitted for the model fits its successor.
        assert successor.context_window >= model.context_window
        assert successor.encoding == model.encoding
        assert successor.token_margin <= model.token_margin


def test_every_model_that_may_answer_is_found_once():
    names = ["llama-3.1-70b-versatile", "openai/gpt-oss-20b", "llama-3.1-8b-instant"]

    assert [model.name for model in catalogue.find_all(names)] == [
        "llama-3.3-70b-versatile",
        "openai/gpt-oss-20b",
        "llama-3.1-8b-instant",
        "openai/gpt-oss-120b",
    ]


def test_every_alias_points_at_a_model():
    assert set(catalogue.ALIASES.values()) <= catalogue.MODELS.keys()
