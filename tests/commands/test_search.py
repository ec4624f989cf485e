"""`manage.py search`"""

import json

import pytest
from django.core.management import CommandError, call_command

from tests.factories import make_document, make_pending, make_user

pytestmark = pytest.mark.django_db


def test_passages_are_printed_with_their_places(user_id, capsys):
    document = make_document(make_user(user_id))
    make_document(make_user(), "Another's ticket costs more.")

    call_command("search", "what does a ticket cost", user=user_id)

    said = capsys.readouterr().out
    assert f"museum.txt, page 1  ({document.pk})" in said
    assert "A ticket costs 14.50 euros." in said
    assert "Another's" not in said


def test_json_is_one_object_a_line(user_id, capsys):
    user = make_user(user_id)
    make_document(user)
    make_document(user, "The zoo: a ticket costs 3 euros.", "zoo.txt")

    call_command("search", "ticket", user=user_id, json=True)

    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["rank"] for row in rows] == [1, 2]
    assert {row["document_name"] for row in rows} == {"museum.txt", "zoo.txt"}


def test_search_keeps_to_the_documents_and_the_limit_given(user_id, capsys):
    user = make_user(user_id)
    document = make_document(user)
    other = make_document(user, "The zoo: a ticket costs 3 euros.", "zoo.txt")

    call_command("search", "ticket", user=user_id, document=[document.pk])
    assert "zoo.txt" not in capsys.readouterr().out

    both = [document.pk, other.pk]
    call_command("search", "ticket", user=user_id, document=both, limit=1, json=True)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_it_says_when_there_is_nothing(user_id, capsys):
    make_document(make_user(user_id))

    call_command("search", "zebra", user=user_id)

    assert "Nothing found in 1 documents." in capsys.readouterr().out


def test_it_refuses_what_cannot_be_searched(user_id):
    user = make_user(user_id)
    with pytest.raises(CommandError, match="no document that can be searched"):
        call_command("search", "x", user=user_id)
    late, foreign = make_pending(user), make_document(make_user())
    for document in (late, foreign):
        with pytest.raises(CommandError, match=f"no such document ready: {document.pk}"):
            call_command("search", "x", user=user_id, document=[document.pk])
    with pytest.raises(CommandError, match="--limit"):
        call_command("search", "x", user=user_id, limit=0)
