"""The last ordering: figures for amounts, neighbours as one passage, the same text once."""

from uuid import UUID, uuid4

from llm.passages import Passage
from llm.ranking import Outcome, choose

DOCUMENT = UUID(int=1)
PAGES = ["Alpha beta gamma. Delta epsilon zeta.", "Eta theta iota."]


def match(text: str, score: float, ordinal: int = 0, **fields) -> Passage:
    values = {
        "chunk_id": uuid4(),
        "document_id": DOCUMENT,
        "document_name": "a.txt",
        "page_start": 1,
        "page_end": 1,
        "char_start": 0,
        "page_breaks": (),
        **fields,
    }
    return Passage(text=text, score=score, ordinal=ordinal, **values)


def test_where_an_amount_is_asked_for_figures_count():
    prose = match("Net sales rose a lot this year.", 10.0, 0)
    table = match("Net sales 142,381 164,888 139,337", 9.0, 10)

    asked = choose("How much were net sales?", [prose, table], 2).passages
    other = choose("Why did they rise?", [prose, table], 2).passages

    assert [one.ordinal for one in asked] == [10, 0]
    assert [one.ordinal for one in other] == [0, 10]


def test_neighbours_become_one_passage_in_reading_order():
    first = match("Alpha beta gamma. Delta epsilon", 3.0, 0, section="One")
    second = match(
        "Delta epsilon zeta.\nEta theta",
        5.0,
        1,
        page_end=2,
        char_start=18,
        page_breaks=(20,),
        section="Two",
    )

    found = choose("?", [second, first], 5)

    [joined] = found.passages
    assert joined.text == "Alpha beta gamma. Delta epsilon zeta.\nEta theta"
    assert (joined.chunk_id, joined.score, joined.section) == (second.chunk_id, 5.0, "Two")
    assert (joined.page_start, joined.page_end) == (1, 2)
    assert [one.outcome for one in found.candidates] == [Outcome.KEPT, Outcome.JOINED]


def test_a_joined_passage_knows_the_place_of_each_of_its_words():
    whole = "\n".join(PAGES)
    first = match(whole[:31], 3.0, 0)
    second = match(whole[18:], 5.0, 1, page_end=2, char_start=18, page_breaks=(20,))

    [joined] = choose("?", [second, first], 5).passages

    for offset in range(len(joined.text)):
        page, place = joined.page_at(offset)
        if joined.text[offset] != "\n":
            assert PAGES[page - 1][place] == joined.text[offset]


def test_chunks_that_meet_at_a_page_border_are_joined_there():
    first = match(PAGES[0], 3.0, 0)
    second = match(PAGES[1], 2.0, 1, page_start=2, page_end=2)

    [joined] = choose("?", [first, second], 5).passages

    assert joined.text == "\n".join(PAGES)
    assert joined.page_at(joined.text.index("Eta")) == (2, 0)
    assert joined.page_at(joined.text.index("zeta")) == (1, 32)


def test_no_more_than_two_chunks_are_joined():
    matches = [match(f"text {n}", 5.0 - n, n, char_start=10 * n) for n in range(4)]

    found = choose("?", matches, 5)

    assert [one.outcome for one in found.candidates] == [
        Outcome.KEPT,
        Outcome.JOINED,
        Outcome.KEPT,
        Outcome.JOINED,
    ]


def test_the_same_text_stands_once():
    one = match("The very same text.", 5.0, 0)
    twin = match("The very  same\ntext.", 4.0, 0, document_id=uuid4())
    other = match("Another text.", 3.0, 7)

    found = choose("?", [one, twin, other], 2)

    assert [passage.text for passage in found.passages] == [one.text, other.text]
    assert [candidate.outcome for candidate in found.candidates] == [
        Outcome.KEPT,
        Outcome.DUPLICATE,
        Outcome.KEPT,
    ]


def test_texts_that_begin_alike_are_not_the_same():
    start = "Each page of this report begins with these very words: "
    one = match(f"{start}sales rose.", 5.0, 0)
    other = match(f"{start}costs fell.", 4.0, 7)
    twin = match(f"{start.upper()} sales\nrose.", 3.0, 14)

    found = choose("?", [one, other, twin], 3)

    assert [passage.text for passage in found.passages] == [one.text, other.text]


def test_what_is_below_the_limit_is_told():
    matches = [match(f"text {n}", 5.0 - n, 2 * n) for n in range(3)]

    found = choose("?", matches, 2)

    assert len(found.passages) == 2
    assert found.candidates[2].outcome == Outcome.BELOW_LIMIT
