"""What a question of a later turn searches for: its own words, and those that it leans on.

Two ways: terms of the turns before are carried along with falling weight, or a model writes the
question so that it stands alone, with some alternatives. Pure functions.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from llm.extractive import COMMON
from llm.retrieval import Query

# A topic that was named further back than this is another topic.
EXCHANGES = 4
# Each turn back counts less; a question that leaned itself names less of the topic.
FALL = 0.7
# The words that an answer cited, beside those of its question.
CITED = 0.2
CITED_CHARS = 300
# Texts of at least this weight say what is asked; lighter ones only help the ranking.
STATED = 0.3

# What a model may write; more than this is no search but an essay.
QUESTION_CHARS = 600
SEARCH_CHARS = 300
SEARCHES = 3
REPLY_CHARS = 6_000

WORD = re.compile(r"\w+")
NUMBER = re.compile(r"\b\d[\d.,/-]*\b")
# They ask for more and name nothing.
FILLERS = frozenset(
    WORD.findall(
        "again any continue describe detail details elaborate else example examples explain "
        "expand further give go help know let like me mean meant more much my no ok okay please "
        "really say show so summarise summarize tell than thank thanks them think us want yes can "
        "could would should also just then other another same i we am but if not been being "
        "warum wieso weshalb mehr erzähl pourquoi davantage raconte perché porque más più"
    )
)
# They stand for something that was named before.
PRONOUNS = frozenset(
    WORD.findall(
        "it its itself he him his himself she her hers herself they them their theirs former "
        "latter er ihm ihn ihr ihre sie davon dazu darüber dafür damit elle ils elles cela ça "
        "celui celle eso esto ella ellos ellas isso isto esso essa"
    )
)
# These do too, but in a long question they rather join its parts.
POINTERS = frozenset(WORD.findall("this that these those one ones there such same previous above"))
LONG = 5
OPENERS = re.compile(r"\s*(and|but|or|so|what about|how about|und|aber|et|mais|y|pero)\b", re.I)


class Leaning(Enum):
    """How much a question leans on the turns before; the value is the weight of their words."""

    WHOLLY = 1.0  # it names nothing: "Tell me more about that."
    PARTLY = 0.5  # it points back: "When was it built?", "And in 2018?"
    PERHAPS = 0.25  # it is too short to tell: "Opening hours?"
    NOT = 0.0

    @property
    def points_back(self) -> bool:
        """True where it cannot be understood alone, so that writing it anew is worth a call."""
        return self in (Leaning.WHOLLY, Leaning.PARTLY)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question of before, its answer, and the sections and words that the answer cited."""

    question: str
    answer: str = ""
    cited: tuple[str, ...] = ()


class Unusable(ValueError):
    """A model's rewriting that cannot be searched for."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A question that stands alone, and other searches for its answer."""

    question: str
    searches: tuple[str, ...] = ()


def leaning(question: str) -> Leaning:
    """How much the question leans on what was said before it."""
    words = [word.lower() for word in WORD.findall(question)]
    own = [word for word in words if word not in COMMON | FILLERS | PRONOUNS | POINTERS]
    names = [word for word in own if not word[0].isdigit()]
    if not own:
        return Leaning.WHOLLY
    points = not PRONOUNS.isdisjoint(words) or OPENERS.match(question) or not names
    if points or (len(names) < LONG and not POINTERS.isdisjoint(words)):
        return Leaning.PARTLY
    return Leaning.PERHAPS if len(names) <= 2 else Leaning.NOT


def carried(question: str, before: Sequence[Exchange]) -> Query:
    """The question, with the words of the exchanges before it (oldest first) that it leans on.

    Goes back to the last question that named its topic. Numbers are not carried to a question
    that has its own: "And in 2018?" leaves the year before it behind.
    """
    lean = leaning(question)
    if not before or lean is Leaning.NOT:
        return Query(((question, 1.0),))
    own = NUMBER.search(question) is not None
    weight = lean.value
    texts = [] if lean is Leaning.WHOLLY else [(_without_fillers(question), 1.0)]
    for distance, exchange in enumerate(reversed(before[-EXCHANGES:])):
        said = _without_fillers(exchange.question)
        texts.append((_without_numbers(said) if own else said, round(weight, 3)))
        if distance == 0:
            texts += [(part[:CITED_CHARS], round(weight * CITED, 3)) for part in exchange.cited]
        if not leaning(exchange.question).points_back:
            break
        weight *= FALL
    texts = [(text, weight) for text, weight in texts if text.strip()]
    return Query(tuple(texts) or ((question, 1.0),))


def stated(query: Query) -> str:
    """What the query asks for, in one text."""
    return " ".join(text for text, weight in query.texts if weight >= STATED)


def parsed(reply: str) -> Rewritten:
    """The JSON object of a model's reply, whatever stands around it. Raises Unusable."""
    if len(reply) > REPLY_CHARS:
        raise Unusable("too_long")
    try:
        body = json.loads(reply[reply.index("{") : reply.rindex("}") + 1])
        question, others = _line(body["question"]), body.get("searches") or []
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unusable("malformed") from error
    if not question:
        raise Unusable("empty")
    if len(question) > QUESTION_CHARS:
        raise Unusable("too_long")
    if not isinstance(others, list):
        others = [others]
    texts = [_line(text)[:SEARCH_CHARS] for text in others if isinstance(text, str)]
    unlike = dict.fromkeys(text for text in texts if text and text.lower() != question.lower())
    return Rewritten(question, tuple(unlike)[:SEARCHES])


def queries(question: str, rewritten: Rewritten) -> list[Query]:
    """The searches of a rewriting; the user's own words always count among them."""
    own = Query(((rewritten.question, 1.0), (question, STATED)))
    return [own, *(Query(((text, 1.0),)) for text in rewritten.searches)]


def _line(text: object) -> str:
    """A text on one line. Raises TypeError where it is none."""
    if not isinstance(text, str):
        raise TypeError("not a text")
    return " ".join(text.split())


def _without_fillers(text: str) -> str:
    """The text without words that only ask for more; as it stands where nothing would stay."""
    kept = [part for part in text.split() if not FILLERS.issuperset(_words(part))]
    return " ".join(kept) or text


def _words(part: str) -> list[str]:
    """Its words in lower case; `[""]` for a part without any, which is kept."""
    return [word.lower() for word in WORD.findall(part)] or [""]


def _without_numbers(text: str) -> str:
    return " ".join(NUMBER.sub(" ", text).split())
