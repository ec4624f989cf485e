"""What a follow-up searches for: its own words, and those that it leans on."""

import pytest

from llm import follow_up
from llm.follow_up import Exchange, Leaning, Unusable, carried, leaning, parsed

SALES = Exchange("What were net sales of iPhone in 2019?", cited=("Products", "iPhone 142,381"))


def weights(query):
    return dict(query.texts)


@pytest.mark.parametrize(
    ("question", "lean"),
    [
        ("Tell me more about that.", Leaning.WHOLLY),
        ("Why?", Leaning.WHOLLY),
        ("Can you explain further, please?", Leaning.WHOLLY),
        ("And in 2018?", Leaning.PARTLY),
        ("In 2018?", Leaning.PARTLY),
        ("When was he born?", Leaning.PARTLY),
        ("What about Germany?", Leaning.PARTLY),
        ("Und 2018?", Leaning.PARTLY),
        ("Opening hours?", Leaning.PERHAPS),
        ("What were the net sales of services in Europe?", Leaning.NOT),
        ("Which museums that open on Mondays charge children an entrance fee?", Leaning.NOT),
    ],
)
def test_how_much_a_question_leans_on_the_conversation(question, lean):
    assert leaning(question) is lean


def test_a_first_question_is_searched_as_it_stands():
    assert carried("Tell me more about that.", []).texts == (("Tell me more about that.", 1.0),)


def test_a_question_that_stands_alone_carries_nothing():
    question = "Which board committees met during the last fiscal year?"

    assert carried(question, [SALES]).texts == ((question, 1.0),)


def test_a_question_that_names_nothing_searches_for_the_one_before_and_what_it_cited():
    texts = weights(carried("Tell me more about that.", [SALES]))

    assert "Tell me more about that." not in texts
    assert texts[SALES.question] == 1.0
    assert 0 < texts["Products"] == texts["iPhone 142,381"] < 0.5


def test_own_words_count_more_than_carried_ones():
    texts = weights(carried("What about the iPad?", [SALES]))

    assert texts["What about the iPad?"] == 1.0 > texts[SALES.question] > 0


def test_a_number_of_its_own_leaves_the_numbers_before_behind():
    texts = weights(carried("And in 2018?", [SALES]))

    assert "What were net sales of iPhone in ?" in texts
    assert not any("2019" in text for text in texts)


def test_a_chain_goes_back_to_the_question_that_named_the_topic_with_falling_weight():
    other = Exchange("How many directors does the board of the company have?")

    texts = carried("And in 2016?", [other, SALES, Exchange("And in 2017?")]).texts

    assert [weight for _, weight in texts] == sorted((w for _, w in texts), reverse=True)
    assert any("iPhone" in text for text, _ in texts)
    assert not any("board" in text for text, _ in texts)


def test_what_is_asked_leaves_out_what_only_helps_the_ranking():
    query = carried("Tell me more about that.", [SALES])

    assert follow_up.stated(query) == SALES.question


@pytest.mark.parametrize("question", ["", "!!!", "🎫", "a" * 50_000, "2018 " * 1000])
def test_odd_questions_still_give_a_query(question):
    assert carried(question, [SALES, Exchange(""), Exchange("?")]).texts


@pytest.mark.parametrize(
    "reply",
    [
        '{"question": "Who?", "searches": ["a", "b"]}',
        'Sure! ```json\n{"question": " Who? ", "searches": ["a", "b", "a", "who?", 7, ""]}\n```',
    ],
)
def test_a_models_json_is_found_whatever_stands_around_it(reply):
    assert parsed(reply) == follow_up.Rewritten("Who?", ("a", "b"))


def test_searches_left_out_or_too_many_do_no_harm():
    assert parsed('{"question": "Who?"}').searches == ()
    assert parsed('{"question": "Who?", "searches": "a"}').searches == ("a",)
    assert len(parsed('{"question": "Who?", "searches": ["a","b","c","d","e"]}').searches) == 3


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("You asked: Why?", "malformed"),
        ("{", "malformed"),
        ("}{", "malformed"),
        ("[]", "malformed"),
        ('{"searches": ["a"]}', "malformed"),
        ('{"question": 7}', "malformed"),
        ('{"question": ["a"]}', "malformed"),
        ("{" * 5_000 + "}", "malformed"),
        ('{"question": "  "}', "empty"),
        ('{"question": "%s"}' % ("word " * 200), "too_long"),
        ("word " * 5_000, "too_long"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_with_a_code(reply, code):
    with pytest.raises(Unusable, match=code):
        parsed(reply)


def test_the_users_own_words_count_beside_the_models():
    own, other = follow_up.queries("And he?", follow_up.Rewritten("Was Tesla paid?", ("wages",)))

    assert own.texts[0] == ("Was Tesla paid?", 1.0)
    assert own.texts[1][0] == "And he?"
    assert other.texts == (("wages", 1.0),)
