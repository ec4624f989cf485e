"""Whatever the history, passages and window: the prompt fits, in order, with the question whole."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm import catalogue, prompts, tokens
from llm.context import (
    FORMAT_TOKENS,
    KEPT_SHARE,
    MESSAGE_TOKENS,
    Counted,
    QuestionTooLong,
    Reason,
    fit,
    history_room,
    to_fold,
)
from llm.messages import ChatMessage

ROLES = st.sampled_from(["user", "assistant", "assistant", "user", "system"])
TEXT = st.text(max_size=60)
HISTORY = st.lists(st.builds(lambda *said: Counted(ChatMessage(*said)), ROLES, TEXT), max_size=20)
PROMPT = st.fixed_dictionaries(
    {
        "system": TEXT,
        "summary": TEXT,
        "history": HISTORY,
        "question": TEXT,
        "passages": st.lists(TEXT, max_size=6),
        "budget": st.integers(0, 900),
    }
)
LEAST = 2 * MESSAGE_TOKENS + FORMAT_TOKENS


def fitted(system="", summary="", history=(), question="q", passages=(), budget=1000, count=len):
    return fit(
        system=system,
        summary=summary,
        history=history,
        question=question,
        passages=passages,
        with_passages=prompts.grounded_question,
        budget=budget,
        answer_reserve=100,
        count=count,
    )


def user(text):
    return Counted(ChatMessage("user", text))


def assistant(text):
    return Counted(ChatMessage("assistant", text))


def exchanges(*sizes):
    return [said for n in sizes for said in (user("u" * (n // 2)), assistant("a" * (n // 2)))]


def assert_fits(context, system, summary, history, question, passages, budget, count=len):
    """What holds for every prompt."""
    receipt, (first, *kept, last) = context.receipt, context.messages
    sections = (
        receipt.system,
        receipt.summary,
        receipt.history,
        receipt.passages,
        receipt.question,
    )
    counted = sum(count(message.content) + MESSAGE_TOKENS for message in context.messages)
    assert counted + FORMAT_TOKENS == receipt.total <= receipt.budget == budget
    assert sum(section.tokens for section in sections) == receipt.total
    assert (first.role, last.role) == ("system", "user")

    assert receipt.summary.kept + receipt.summary.left_out == bool(summary)
    with_summary = prompts.with_summary(system, summary)
    assert first.content == (with_summary if receipt.summary.kept else system)

    number = receipt.passages.kept
    assert last.content == prompts.grounded_question(question, passages[:number])
    assert number + receipt.passages.left_out == len(passages)

    assert kept == [one.message for one in history[len(history) - len(kept) :]]
    assert receipt.history.kept == len(kept) == len(history) - receipt.history.left_out
    assert not kept or kept[0].role == "user"
    assert all((section.reason is None) == (section.left_out == 0) for section in sections)


@settings(max_examples=200, deadline=None)
@given(PROMPT)
def test_a_prompt_fits_its_budget_and_keeps_order(prompt):
    alone = len(prompt["system"]) + len(prompt["question"]) + LEAST

    if alone > prompt["budget"]:
        with pytest.raises(QuestionTooLong):
            fitted(**prompt)
    else:
        assert_fits(fitted(**prompt), **prompt)


@settings(max_examples=50, deadline=None)
@given(PROMPT)
def test_a_prompt_fits_by_the_count_of_a_model(prompt):
    model = catalogue.find("llama-3.3-70b-versatile")

    def count(text):
        return tokens.estimate(text, model)

    # Some letters take several tokens, so that the question fits any such budget.
    prompt |= {"budget": prompt["budget"] + 1_000}
    assert_fits(fitted(**prompt, count=count), **prompt, count=count)


def test_the_question_alone_may_take_the_whole_budget():
    question = "q" * 300

    assert fitted(question=question, budget=LEAST + 300).receipt.total == LEAST + 300
    with pytest.raises(QuestionTooLong):
        fitted(question=question, budget=LEAST + 299)


def test_passages_come_before_the_summary_and_that_before_history():
    given = {"passages": ["p" * 100], "summary": "s" * 100, "history": [user("h" * 400)]}

    def kept(budget):
        receipt = fitted(**given, budget=budget).receipt
        return receipt.passages.kept, receipt.summary.kept, receipt.history.kept

    with_passage = LEAST + len(prompts.grounded_question("q", given["passages"]))
    with_summary = with_passage + len(prompts.with_summary("", given["summary"]))
    whole = with_summary + 400 + MESSAGE_TOKENS
    assert [kept(with_passage - 1), kept(with_passage)] == [(0, 0, 0), (1, 0, 0)]
    assert [kept(with_summary - 1), kept(with_summary)] == [(1, 0, 0), (1, 1, 0)]
    assert [kept(whole - 1), kept(whole)] == [(1, 1, 0), (1, 1, 1)]


def test_history_has_no_gap():
    context = fitted(history=exchanges(20, 900, 20), budget=600)

    assert context.receipt.history.kept == 2


def test_history_never_begins_with_an_answer():
    context = fitted(history=[assistant("orphan"), *exchanges(20)])

    assert [message.role for message in context.messages] == ["system", "user", "assistant", "user"]
    assert context.receipt.history.reason == Reason.WITHOUT_QUESTION


def test_a_receipt_tells_what_was_left_out_and_why():
    context = fitted("sys", "", exchanges(*[100] * 10), "Question?", ["p" * 50, "p" * 900], 800)

    receipt = json.loads(json.dumps(context.receipt.as_json()))

    left_out = {"left_out": 1, "reason": "over_budget"}
    assert receipt["passages"] | left_out == receipt["passages"]
    assert receipt["passages"]["kept"] == 1
    assert receipt["history"]["left_out"] == 20 - receipt["history"]["kept"] > 0
    assert receipt["question"] == {
        "tokens": 9 + MESSAGE_TOKENS,
        "kept": 1,
        "left_out": 0,
        "reason": None,
    }
    assert (receipt["budget"], receipt["answer_reserve"]) == (800, 100)


@pytest.mark.parametrize("passages", [0, 6])
@pytest.mark.parametrize("budget", [8_000, 14_000, 50_000])
def test_most_prompts_begin_with_the_prompt_before_them(budget, passages):
    chance = random.Random(1)
    history, before = [], None
    same = []
    for _ in range(300):
        question = "q" * chance.randint(30, 100)
        found = ["p" * chance.randint(200, 320) for _ in range(passages)]
        context = fitted("sys", "summary", history, question, found, budget)
        if context.receipt.history.left_out:
            same.append(context.messages[: len(before)] == before)
            # No exchange is longer than 600, and at most the room less one would fit.
            least = KEPT_SHARE * (context.history_room - 600)
            assert context.receipt.history.tokens >= least > context.history_room / 2
        before = context.messages[:-1]
        history += [user(question), assistant("a" * chance.randint(150, 450))]

    assert len(same) > 100
    assert sum(same) / len(same) >= 0.7


def test_known_counts_are_taken_and_the_old_are_not_counted():
    counted = []

    def count(text):
        counted.append(text)
        return len(text)

    known = [Counted(ChatMessage("user", f"known {n}"), tokens=50) for n in range(200)]
    context = fitted(history=[user("old"), *known, user("new")], count=count)

    assert 10 < context.receipt.history.kept < 20
    assert "new" in counted
    assert {"old", "known 0", "known 199"}.isdisjoint(counted)


@settings(max_examples=200, deadline=None)
@given(HISTORY, st.integers(-10, 600))
def test_folding_leaves_what_fits_half_the_room_or_the_newest_exchanges(history, room):
    number = to_fold(history, room, len)

    rest = history[number:]
    size = sum(len(one.message.content) + MESSAGE_TOKENS for one in rest)
    questions = [one for one in rest if one.message.role == "user"]
    if number:
        assert rest[0].message.role == "user"
        assert len(questions) >= 2
        assert size <= room / 2 or len(questions) == 2
    else:
        assert size <= room or len(questions) <= 2 or rest[0].message.role == "user"
    assert to_fold(rest, room, len) == 0


def test_a_stored_receipt_tells_the_room_of_the_history():
    history = [user("a" * 30), assistant("b" * 30)] * 8
    for budget in (200, 400, 900):
        made = fitted("sys", "sum", history, passages=["p" * 20], budget=budget)
        assert history_room(made.receipt.as_json()) == made.history_room


def test_messages_that_were_not_read_count_as_left_out():
    made = fit(
        system="",
        summary="",
        history=[user("a"), assistant("b")],
        question="q",
        passages=[],
        with_passages=prompts.grounded_question,
        budget=1000,
        answer_reserve=100,
        count=len,
        unread=100,
    )

    section = made.receipt.history
    assert (section.kept, section.left_out, section.reason) == (2, 100, Reason.OVER_BUDGET)


def test_a_history_that_fits_is_not_folded():
    history = exchanges(*[100] * 10)
    size = 10 * (100 + 2 * MESSAGE_TOKENS)

    assert to_fold(history, size, len) == 0
    assert to_fold(history, size - 1, len) == 2 * 6  # four of ten take less than half
    assert to_fold(history, 0, len) == 2 * 8
