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
