"""Whatever reads input does work in proportion to its length: nobody can send what takes minutes.

Each reader is fed what is hardest for it: unclosed marks, long runs of one character, and names,
links and lines without end.
"""

import io
from contextlib import suppress
from uuid import uuid4

import pytest
from django.core.exceptions import TooManyFieldsSent
from django.http import QueryDict
from rest_framework.exceptions import ParseError

from botgpt.api.parsers import BoundedJSONParser
from conversations import markdown, snippets
from conversations.citations import MarksInStream, match_marks
from conversations.models.match import Words
from documents.extraction import kind, outline
from documents.extraction import text as cleaning
from llm import chunking, extractive, fence, follow_up, prompts, ranking, thesaurus, tokens, words
from llm.passages import Passage
from llm.replies import Events
from tests.factories import post
from tests.growth import grows_linearly


def parse_json(text):
    with suppress(ParseError):
        BoundedJSONParser().parse(io.BytesIO(text.encode()))


def parse_object(members):
    parse_json("{" + members.removesuffix("!") + '"end": 1}')


def parse_names(text):
    """Each name once, but for the last."""
    names = [str(n) for n in range(len(text) // 8)]
    parse_json("{" + ",".join(f'"{name}": 1' for name in [*names, *names[-1:]]) + "}")


def parse_list(items):
    parse_json("[" + items.removesuffix("!") + "1]")


def parse_query(text):
    with suppress(TooManyFieldsSent):
        QueryDict(text)


def read_stream(text):
    """In pieces of a few bytes, as a slow network brings them."""
    events, data = Events(), text.encode()
    for start in range(0, len(data), 8):
        events.feed(data[start : start + 8])


def find_marks(text):
    marks = MarksInStream(6)
    for start in range(0, len(text), 4):
        marks.feed(text[start : start + 4])


def parse_rewriting(text):
    with suppress(follow_up.Unusable):
        follow_up.parsed("{" + text + "}")


def passage(text):
    return Passage(uuid4(), uuid4(), "a.txt", text, 1.0, 1, 1, 0, ())


READERS = {
    "JSON": (parse_json, ["[", '{"a":', '"', "1", " ", "\\", "{}"]),
    "members of a JSON object": (parse_object, ['"a": 1,', '"a": {},', '"\\u0061": 1,']),
    "names in a JSON object": (parse_names, ["a"]),
    "items of a JSON list": (parse_list, ["1,", '"a",', "{},", "[[]],"]),
    "a query string": (parse_query, ["a=1&", "%41", "+", "="]),
    "Markdown in the admin": (
        markdown.as_html,
        ["![](", "[", "*a ", "`", "> ", "- ", "<", "&", "\\", "|", "| a ", "~~a", "](", "1. \n "],
    ),
    "marks of citations": (lambda text: match_marks(text, 6), ["[1", "[1,", "【", "[1] ", "1 ,"]),
    "marks in a stream": (find_marks, ["[1", "[1,", "[", "[ ", "1", "[1] "]),
    "the model's stream": (read_stream, ["a", "data: ", "data: {}\n", ":\n", "漢"]),
    "a model's searches": (parse_rewriting, ['"question": 1,', "{", "}", '"', "["]),
    "kinds of files": (lambda text: kind.sniff(text.encode()), ["%PDF", "\0", "\x1b", "a"]),
    "cleaning of text": (
        cleaning.clean,
        [" ", " \n", "\x02", "a\x02", "a-\n", "a\u0301", "\u0301", "\xad\n", "\r", "\ufb01", "한"],
    ),
    "headings of Markdown": (lambda text: outline.of_markdown([text]), ["# ", "#", "```\n", "# #"]),
    "chunks": (
        lambda text: list(chunking.chunk_pages([text])),
        [" ", "\n", "a", ".", "1 2\n", "Item 1. \n", "Ab ", "\x02", "a.\n"],
    ),
    "words to search for": (words.searchable, ["1,", "-", "FY19 ", "Q1 ", ".", "漢", "a.A", "_"]),
    "other words": (thesaurus.other_words, ["capital ", "a ", "cost of "]),
    "a question": (follow_up.leaning, ["and ", "1.", "it ", "-1", "'"]),
    "what a question leans on": (
        lambda text: follow_up.carried("And it?", [follow_up.Exchange(text, text, (text,))]),
        ["1.", "1,-", "tell ", "'", "a-"],
    ),
    "quotes": (
        lambda text: extractive.answer("What is the amount?", [passage(text)]),
        ["1", "1,", "1 %", "a. ", "\n", ".", "\\", "![", "<", "a.\n", "$1"],
    ),
    "order of passages": (
        lambda text: ranking.choose("How much?", [passage(text), passage(text)], 5),
        ["1", "1,", "a ", "1 2 "],
    ),
    "fences of a prompt": (fence.quoted, ["<", "[", "[1", "[1,", "< /", "<|", "[INST", "\r"]),
    "labels of a prompt": (fence.label, ["<", "[1", " ", '"']),
    "titles": (prompts.clean_title, ["title: ", "*", " ", "`", "a ", "\n"]),
    "counting of tokens": (tokens.count, ["a", " ", "1", "漢", "\n", "!", "a b"]),
}
CASES = [
    pytest.param(read, piece, id=f"{name}: {piece!r}")
    for name, (read, pieces) in READERS.items()
    for piece in pieces
]
CHARS = 12_000


@pytest.mark.parametrize(("read", "piece"), CASES)
def test_work_grows_with_the_length_of_the_input(read, piece):
    read("Once, so that what is loaded at first use is there.")

    assert grows_linearly(read, piece, CHARS)


@pytest.mark.parametrize("piece", ["![]()", "[]()", "[a](http://b) "])
def test_work_grows_with_the_number_of_links_and_images(piece):
    assert grows_linearly(markdown.as_html, piece, 2 * CHARS)


@pytest.mark.django_db
@pytest.mark.parametrize("piece", ["a", "museum ", "mu", "_museum", "'"])
def test_work_of_a_snippet_grows_with_the_length_of_the_text(piece):
    pattern = Words.read("museum ticket mu").pattern()

    assert grows_linearly(lambda text: snippets.snippet(text, pattern), piece, CHARS)


def test_a_name_that_comes_twice_is_said_however_many_there_are():
    members = b",".join(b'"name %d": 1' % n for n in range(100_000))

    with pytest.raises(ParseError, match="'name 77' is named twice in one object"):
        BoundedJSONParser().parse(io.BytesIO(b'{"name 77": 0,' + members + b"}"))


@pytest.mark.django_db
@pytest.mark.parametrize("ids", [1_001, 50_000])
def test_too_long_a_list_is_refused_for_its_length_alone(api, user, ids):
    body = {"user_id": str(user.pk), "first_message": "Hello", "document_ids": ["no id"] * ids}

    response = post(api, "/conversations", body)

    assert response.json()["errors"] == {
        "document_ids": ["Ensure this field has no more than 1000 elements."]
    }
