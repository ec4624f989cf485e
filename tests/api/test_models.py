"""`GET /models`: what conversations can name, and whether it can be asked."""

import pytest

from tests.factories import get

pytestmark = pytest.mark.django_db


def available(api) -> set[bool]:
    return {model["available"] for model in get(api, "/models").json()["results"]}


def test_without_a_key_no_model_is_available(api) -> None:
    assert available(api) == {False}


def test_with_a_key_models_are_available(api, groq) -> None:
    assert available(api) == {True}


def test_each_model_tells_what_it_takes_and_when_its_prices_were_read(api) -> None:
    models = {model["name"]: model for model in get(api, "/models").json()["results"]}

    qwen, llama = models["qwen/qwen3.8-27b"], models["llama-3.1-8b-instant"]
    prices = [qwen[f"{kind}_price"] for kind in ("prompt", "cached", "completion")]
    assert (prices, qwen["prices_as_of"]) == (["0.8000", "0.4000", "4.0000"], "2026-12-01")
    assert qwen["reasoning_efforts"] == ["none", "default"]
    assert (qwen["input_modalities"], qwen["successor"]) == (["text", "image"], None)
    assert (llama["reasoning_efforts"], llama["successor"]) == ([], "openai/gpt-oss-20b")
    assert [name for name, model in models.items() if model["default"]] == ["openai/gpt-oss-120b"]
