"""Counting works without a network, bounded in time, and never fails on odd text."""

import time

import pytest

from llm import catalogue, tokens


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(tokens, "_cache_dir", tmp_path / "encodings")
    tokens._encoding.cache_clear()
    yield tmp_path / "encodings"
    tokens._encoding.cache_clear()


def test_an_encoding_is_unpacked_where_tiktoken_finds_it(empty_cache, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # a download would fail

    assert tokens.count("hello world") == 2
    assert [path.name for path in empty_cache.iterdir()] == [tokens.CACHE_NAMES["o200k_base"]]


def test_marks_of_the_model_count_as_text():
    assert tokens.count("<|endoftext|>") > 1


def test_a_very_long_word_is_counted_in_bounded_time():
    started = time.perf_counter()

    assert tokens.count("a" * 500_000) > 10_000
    assert time.perf_counter() - started < 20  # unsliced it takes minutes


def test_an_estimate_has_a_margin_for_models_without_an_exact_count():
    text = "The quick brown fox jumps over the lazy dog. " * 20
    exact, llama = (catalogue.find(n) for n in ("openai/gpt-oss-20b", "llama-3.1-8b-instant"))

    assert tokens.estimate(text, llama) > tokens.estimate(text, exact) > tokens.count(text)
