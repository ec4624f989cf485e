"""Every command of ours explains itself by examples; --json is JSON and nothing else."""

import json
import shlex
from itertools import takewhile
from pathlib import Path
from uuid import uuid4

import pytest
from django.apps import apps
from django.core.management import call_command, get_commands, load_command_class

from documents.explained import ExplainedCommand
from tests.factories import TEXT, make_conversation, make_document, make_usage

OURS = {name: app for name, app in get_commands().items() if app in ("conversations", "documents")}
OURS |= {name: app for name, app in get_commands().items() if app == "botgpt.accounts"}
# Another's, which only prints otherwise.
del OURS["procrastinate"]
ROOT = Path(__file__).parents[2]
ONE, LINES = "print one JSON object", "print a JSON object a line"


def command(name):
    return load_command_class(OURS[name], name)


def parser(name):
    return command(name).create_parser("manage.py", name)


def examples(name):
    return command(name).examples.strip().splitlines()


def words(line):
    """What the command gets of a line of the shell."""
    found = shlex.shlex(line, posix=True, punctuation_chars="|<>;")
    found.whitespace_split = True
    return list(takewhile(lambda word: not set(word) <= set("|<>;"), found))


def json_option(name):
    return next((one.help for one in parser(name)._actions if "--json" in one.option_strings), None)


def test_all_of_them_are_looked_at():
    assert apps.is_installed("botgpt.accounts")
    files = ROOT.glob("[bcd]*/**/management/commands/[a-z]*.py")
    assert set(OURS) == {path.stem for path in files} - {"procrastinate"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_help_ends_with_examples_that_can_be_given(name):
    shown = parser(name).format_help()

    assert isinstance(command(name), ExplainedCommand)
    assert examples(name)
    assert "--pythonpath" not in shown
    for line in examples(name):
        assert f"\n  {line}\n" in shown
        start, called, *arguments = words(line)
        assert (start, called) == ("manage.py", name)
        parser(name).parse_args(arguments)


@pytest.mark.parametrize("name", sorted(OURS))
def test_each_option_is_explained(name):
    silent = [one.dest for one in parser(name)._actions if not one.help]

    assert silent == []


def stray(settings):
    path = Path(settings.MEDIA_ROOT) / f"documents/aa/{uuid4().hex}.pdf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"left behind")


def folder(tmp_path):
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "zoo.txt").write_text(TEXT + "The lions are fed at noon.\n")
    question = {"question": "When are lions fed?", "document": "zoo.txt"}
    (tmp_path / "library" / "questions.jsonl").write_text(json.dumps(question))
    return tmp_path / "library"


@pytest.mark.django_db(transaction=True)
def test_json_is_all_that_is_printed(user, tmp_path, settings, capsys):
    """In a transaction of each command's own: some of them work in threads."""
    make_document(user)
    make_conversation(user)
    make_usage(user)
    stray(settings)
    calls = {
        "usage": [],
        "search": ["ticket", "--user", user.pk],
        "evaluate": [folder(tmp_path)],
        "createkey": ["shop"],
        "ingest": [tmp_path / "library" / "zoo.txt", "--user", user.pk],
        "orphans": [],
        "retention": [],
        "doctor": ["--only", "encodings"],
        "forget": [user.pk, "--yes"],
    }
    assert set(calls) == {name for name in OURS if json_option(name)}

    for name, arguments in calls.items():
        call_command(name, *map(str, arguments), "--json")
        printed = capsys.readouterr().out
        assert json_option(name) in (ONE, LINES), name
        documents = [printed] if json_option(name) == ONE else printed.splitlines()
        assert documents, name
        assert all(isinstance(json.loads(one), dict) for one in documents), name
