"""Whatever the history, passages and window: the prompt fits, in order, with the question whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm import prompts
from llm.context import QuestionTooLong, fit
from llm.messages import ChatMessage

TEXT = st.text(alphabet="ab ", max_size=60)
HISTORY = st.lists(
    st.builds(ChatMessage, st.sampled_from(["user", "assistant"]), TEXT), max_size=12
)


def fitted(**given):
    return fit(with_passages=prompts.grounded_question, count=len, **given)


@given(HISTORY, TEXT, st.lists(TEXT, max_size=6), st.integers(100, 900))
def test_a_prompt_fits_its_budget_and_keeps_order(history, question, passages, budget):
    context = fitted(
        system="sys", history=history, question=question, passages=passages, budget=budget
    )

    assert sum(len(message.content) for message in context.messages) == context.tokens <= budget
    assert context.messages[0] == ChatMessage("system", "sys")
    assert context.messages[-1].content.endswith(question)
    kept = context.messages[1:-1]
    assert list(kept) == history[len(history) - len(kept) :]
    assert context.history_kept == len(kept)
    assert context.history_left_out == len(history) - len(kept)
    assert context.passages_kept + context.passages_left_out == len(passages)
    for passage in passages[: context.passages_kept]:
        assert passage in context.messages[-1].content


def test_passages_come_before_history():
    history = [ChatMessage("user", "h" * 100)]

    context = fitted(system="", history=history, question="q", passages=["p" * 100], budget=140)

    assert (context.passages_kept, context.history_kept) == (1, 0)


def test_history_has_no_gap():
    sizes = [10, 500, 10]
    history = [ChatMessage("user", "h" * size) for size in sizes]

    context = fitted(system="", history=history, question="q", passages=[], budget=200)

    assert context.history_kept == 1


def test_a_question_that_cannot_fit_is_refused():
    with pytest.raises(QuestionTooLong):
        fitted(system="", history=[], question="q" * 300, passages=[], budget=200)
