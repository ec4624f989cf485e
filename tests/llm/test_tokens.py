"""Counting works without a network, bounded in time, and never fails on odd text."""

import subprocess
import sys

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


def test_processes_may_unpack_at_the_same_time(tmp_path):
    code = (
        "import sys, pathlib; from llm import tokens; "
        "tokens.use_cache(pathlib.Path(sys.argv[1])); print(tokens.count('hello world'))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]

    assert [process.communicate(timeout=30)[0] for process in running] == ["2\n"] * 3
    assert [path.name for path in tmp_path.iterdir()] == [tokens.CACHE_NAMES["o200k_base"]]


@pytest.mark.parametrize("letter", ["a", " ", "\t", "!"])
def test_a_run_of_a_million_letters_is_counted(letter):
    assert tokens.count(letter * 1_000_000) > 1_000  # tiktoken alone panics at the blanks


def test_an_estimate_has_a_margin_for_models_without_an_exact_count():
    text = "The quick brown fox jumps over the lazy dog. " * 20
    names = "openai/gpt-oss-20b", "llama-3.1-8b-instant", "qwen/qwen3.8-27b"
    exact, *others = (catalogue.find(name) for name in names)

    assert tokens.estimate(text, exact) == tokens.count(text)
    assert all(tokens.estimate(text, one) > tokens.count(text, one.encoding) for one in others)
