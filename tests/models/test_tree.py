"""The tree of messages: whatever is done to it, it stays sound."""

from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conversations.exceptions import AnswerUnderWay, NothingToRetry, NotThatRole
from conversations.models import Conversation, Message
from tests.factories import complete, make_conversation, make_user

pytestmark = pytest.mark.django_db

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "edit", "regenerate", "activate", "delete"]),
        st.integers(min_value=0, max_value=30),
    ),
    max_size=14,
)


@dataclass
class Expected:
    """The tree as plain lists: what the database should say."""

    parents: dict[UUID, UUID | None] = field(default_factory=dict)
    roles: dict[UUID, str] = field(default_factory=dict)
    path: list[UUID] = field(default_factory=list)

    def add(self, question: Message, answer: Message, parent: UUID | None) -> None:
        self.parents |= {question.pk: parent, answer.pk: question.pk}
        self.roles |= {question.pk: "user", answer.pk: "assistant"}
        self.path = [*self.above(parent), question.pk, answer.pk]

    def above(self, one: UUID | None) -> list[UUID]:
        """The path from the root down to this message."""
        found = []
        while one is not None:
            found.append(one)
            one = self.parents[one]
        return found[::-1]

    def through(self, one: UUID | None) -> list[UUID]:
        """The path through this message, by its newest children to the end."""
        found = self.above(one)
        while below := [child for child, parent in self.parents.items() if parent == one]:
            one = max(below)
            found.append(one)
        return found

    def refuses(self, verb: str, one: UUID) -> bool:
        """Questions alone are edited, and answers to questions alone regenerated."""
        if verb == "regenerate":
            parent = self.parents[one]
            answers = parent is not None and self.roles[parent] == "user"
            return self.roles[one] == "user" or not answers
        return verb == "edit" and self.roles[one] == "assistant"

    def remove(self, one: UUID) -> None:
        parent = self.parents.pop(one)
        for child in [child for child, above in self.parents.items() if above == one]:
            self.parents[child] = parent
        if self.path and self.path[-1] == one:
            self.path = self.through(parent)
        else:
            self.path = [message for message in self.path if message != one]


def apply(conversation: Conversation, expected: Expected, verb: str, one: UUID | None) -> None:
    """One step, on the database and on what is expected of it."""
    if verb == "ask":
        turn = conversation.ask("What?")
        expected.add(*turn, expected.path[-1] if expected.path else None)
    elif one is None:
        return
    elif verb == "edit":
        turn = conversation.edit(one, "What else?")
        expected.add(*turn, expected.parents[one])
    elif verb == "regenerate":
        turn = conversation.regenerate(one)
        expected.add(*turn, expected.parents[turn[0].pk])
    elif verb == "activate":
        conversation.activate(one)
        expected.path = expected.through(one)
        return
    else:
        conversation.delete_message(one)
        expected.remove(one)
        return
    complete(turn[1], "That.")


def assert_sound(conversation: Conversation, expected: Expected) -> None:
    rows = list(conversation.messages.order_by("position", "pk"))
    assert {row.pk: row.parent_id for row in rows} == expected.parents
    assert all(row.position == len(expected.above(row.pk)) - 1 for row in rows)
    shown = list(conversation.messages.shown())
    assert [row.pk for row in shown] == expected.path
    assert [row.position for row in shown] == list(range(len(shown)))
    assert [row.parent_id for row in shown] == [None, *expected.path][: len(shown)]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_any_steps_leave_a_sound_tree(steps):
    conversation = make_conversation(make_user(uuid4()))
    expected = Expected()
    expected.add(*conversation.messages.shown(), None)

    for verb, choice in steps:
        there = sorted(expected.parents)
        one = there[choice % len(there)] if there else None
        if one and expected.refuses(verb, one):
            with pytest.raises((NotThatRole, NothingToRetry)):
                apply(conversation, expected, verb, one)
        else:
            apply(conversation, expected, verb, one)
        assert_sound(conversation, expected)

    connection.check_constraints()
    conversation.delete()
    connection.check_constraints()


def turn_of(conversation):
    """Asks, and answers."""
    question, answer = conversation.ask("And then?")
    complete(answer, "That.")
    return question, answer


@pytest.fixture
def conversation(user):
    return make_conversation(user)


def test_a_deleted_message_lets_what_follows_move_up(conversation):
    first, second = conversation.messages.shown()
    question, answer = turn_of(conversation)

    conversation.delete_message(second.pk)

    assert list(conversation.messages.shown()) == [first, question, answer]
    question.refresh_from_db()
    assert (question.parent_id, question.position) == (first.pk, 1)


def test_the_last_message_of_all_can_be_deleted(conversation):
    for message in reversed(conversation.messages.shown()):
        conversation.delete_message(message.pk)

    assert conversation.messages.count() == 0
    question, _ = turn_of(conversation)
    assert (question.position, question.parent) == (0, None)


def test_where_the_shown_answer_is_deleted_the_former_one_is_shown(conversation):
    question, former = conversation.messages.shown()
    _, newer = conversation.regenerate(former.pk)
    complete(newer, "Or that.")

    conversation.delete_message(newer.pk)

    assert list(conversation.messages.shown()) == [question, former]


def test_what_is_deleted_on_another_branch_leaves_the_shown_one_as_it_is(conversation):
    _, former = conversation.messages.shown()
    turn_of(conversation)
    _, newer = conversation.regenerate(former.pk)
    complete(newer, "Or that.")
    shown = list(conversation.messages.shown())

    conversation.delete_message(former.pk)

    assert list(conversation.messages.shown()) == shown
    assert conversation.messages.filter(active=False, position=1).count() == 1


def test_an_answer_whose_question_was_deleted_is_not_asked_for_again(conversation):
    question, answer = conversation.messages.shown()
    Message.objects.filter(pk=answer.pk).update(status="failed")
    conversation.delete_message(question.pk)

    for ask in (conversation.ask_again, conversation.regenerate):
        with pytest.raises(NothingToRetry):
            ask(answer.pk)

    answer.refresh_from_db()
    assert answer.status == "failed"


@pytest.mark.parametrize(
    "step",
    [
        lambda conversation, question, answer: conversation.ask("What?"),
        lambda conversation, question, answer: conversation.edit(question, "What?"),
        lambda conversation, question, answer: conversation.regenerate(answer),
        lambda conversation, question, answer: conversation.ask_again(answer),
        lambda conversation, question, answer: conversation.activate(question),
        lambda conversation, question, answer: conversation.delete_message(answer),
    ],
    ids=["ask", "edit", "regenerate", "retry", "activate", "delete"],
)
def test_the_tree_stays_as_it_is_while_an_answer_is_under_way(conversation, step):
    question, answer = conversation.messages.shown()
    conversation.ask("And then?")
    before = list(conversation.messages.values())

    with pytest.raises(AnswerUnderWay):
        step(conversation, question.pk, answer.pk)

    assert list(conversation.messages.values()) == before


def test_the_tree_of_another_conversation_is_out_of_reach(conversation):
    _, answer = make_conversation(make_user()).messages.shown()

    for step in (conversation.activate, conversation.delete_message, conversation.regenerate):
        with pytest.raises(Message.DoesNotExist):
            step(answer.pk)


def test_deleting_costs_the_same_few_queries_however_much_follows(
    conversation, django_assert_num_queries
):
    _, second = conversation.messages.shown()
    for _ in range(20):
        turn_of(conversation)

    with django_assert_num_queries(19):
        conversation.delete_message(second.pk)


def test_an_answer_that_is_asked_for_again_keeps_nothing_of_the_former_attempt(conversation):
    _, answer = conversation.ask("And then?")
    answer.status, answer.model, answer.context = "cancelled", "one", {"total": 1}
    answer.settle("Half an")

    _, again = conversation.ask_again(answer.pk)

    again.refresh_from_db()
    assert (again.status, again.content, again.model, again.context) == ("pending", "", "", {})
