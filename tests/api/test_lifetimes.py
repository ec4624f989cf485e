"""What a call made goes with its end: Python's search for dead objects has nothing to find."""

import gc

import httpx
import pytest
from rest_framework.request import Request
from rest_framework.views import APIView

from conversations.live import LiveAnswer
from conversations.models import Citation, Conversation, Message, Retrieval
from conversations.turn import Turn
from tests import fake_groq
from tests.factories import make_document, make_user, post

pytestmark = pytest.mark.django_db

OF_A_CALL = (APIView, Request, Turn, LiveAnswer, httpx.Request, httpx.Response)
ROWS = (Citation, Conversation, Message, Retrieval)


@pytest.fixture(autouse=True)
def _search():
    """Dead objects stay until the test is over."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left():
    kinds = map(type, gc.get_objects())
    return {kind.__name__ for kind in kinds if issubclass(kind, OF_A_CALL + ROWS)}


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("mode", ["open_chat", "grounded_rag"])
def test_an_answer_of_the_model(api, user_id, groq, mode, stream):
    document = make_document(make_user(user_id))
    groq.script(fake_groq.answer("It opens at nine [1]."))
    body = {"user_id": str(user_id), "mode": mode, "first_message": "When does the museum open?"}
    if mode == "grounded_rag":
        body["document_ids"] = [str(document.pk)]
    before = left()

    response = post(api, "/conversations", body | {"stream": stream})
    assert response.status_code == (200 if stream else 201)
    del response

    assert left() <= before
