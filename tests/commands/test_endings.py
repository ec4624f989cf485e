"""How commands end: with an exit code, a line that says what to do, and never a traceback."""

import os
import signal
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from botgpt import command_line
from botgpt.accounts.models import User
from documents.management.commands import ingest
from documents.models import Document
from tests.factories import TEXT
from tests.launch.test_launch import ROOT, environment

MANAGE = [sys.executable, str(ROOT / "manage.py")]


def started(tmp_path, *arguments, **variables):
    return subprocess.Popen(
        [*MANAGE, *arguments],
        env=environment(tmp_path, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_without_the_database_one_line_says_what_to_do(tmp_path):
    code, out, err = ended(started(tmp_path, "usage"))

    assert (code, out) == (1, "")
    assert err.startswith("CommandError: The database does not answer")
    assert err.endswith("Start it with make run, in another terminal.\n")
    assert err.count("\n") == 1, err


def test_a_malformed_setting_is_named_in_one_line(tmp_path):
    code, out, err = ended(started(tmp_path, "usage", GROQ_TIMEOUT_SECONDS="soon"))

    assert (code, out) == (1, "")
    assert err.startswith("CommandError: GROQ_TIMEOUT_SECONDS must be a whole number")
    assert err.count("\n") == 1


def test_nobody_who_reads_the_output_is_no_error(tmp_path):
    process = started(tmp_path, "doctor", "--only", "encodings")
    process.stdout.close()

    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(60) == 128 + signal.SIGPIPE


def run(*arguments):
    """The exit code, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "dup2", None)  # nothing may get that far here
        try:
            return command_line.main(["manage.py", *map(str, arguments)])
        except SystemExit as end:
            return end.code


@pytest.mark.django_db(transaction=True)
def test_ctrl_c_tells_what_is_done_so_far(tmp_path, user_id, monkeypatch, capsys, settings):
    settings.DOCUMENTS_AT_ONCE = 1
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.txt").write_text(f"{TEXT} {name}")
    reading = ingest.ingest

    def interrupted_at_the_second(document, on_page):
        if document.name == "b.txt":
            raise KeyboardInterrupt
        reading(document, on_page)

    monkeypatch.setattr(ingest, "ingest", interrupted_at_the_second)

    assert run("ingest", tmp_path, "--user", user_id) == 130

    said = capsys.readouterr()
    assert said.err.startswith("Interrupted. 1 of 3 files are done")
    assert "run it again" in said.err
    assert said.out == ""
    assert Document.objects.get(name="a.txt").status == "ready"


@pytest.mark.django_db(transaction=True)
def test_ctrl_c_before_the_answer_deletes_nothing(user, monkeypatch, capsys):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupt)

    assert run("forget", user.pk) == 130
    assert capsys.readouterr().err.endswith("Interrupted. Nothing was deleted.\n")
    assert User.objects.filter(pk=user.pk).exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["export", "{user}", "--to", "{folder}/user.zip"], "B/s"),
        (["orphans"], "looked at: 2file"),
        (["retention"], "0row"),
        (["forget", "{user}", "--yes"], "1/1 "),
    ],
)
def test_progress_is_shown_on_a_terminal_alone(
    arguments, shown, user, document, tmp_path, monkeypatch, capsys
):
    given = [one.format(user=user.pk, folder=tmp_path) for one in arguments]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    call_command(*given)
    assert shown in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["usage", "--user", "nobody"], 2, "argument --user: invalid UUID value: 'nobody'"),
        (["usage", "--days", "tomorrow"], 2, "argument --days: give a number of days"),
        (["search", "x"], 2, "required: --user"),
        (["doctor", "--only", "weather"], 2, "invalid choice: 'weather'"),
        (["evaluate", "nowhere"], 1, "nowhere is no folder"),
        (["evaluate", "x" * 300], 1, "File name too long"),
    ],
)
def test_what_is_wrong_is_told(arguments, code, told, capsys):
    assert run(*arguments) == code

    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err


@pytest.mark.django_db(transaction=True)
def test_a_folder_that_cannot_be_looked_into_is_a_failure(tmp_path, user_id, monkeypatch, capsys):
    closed, scandir = tmp_path / "closed", os.scandir
    closed.mkdir()
    (tmp_path / "a.txt").write_text(TEXT)

    def refuse(path):
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root, whom tests may run as, may look anywhere

    with pytest.raises(CommandError, match="1 files or folders"):
        call_command("ingest", tmp_path, user=user_id)

    said = capsys.readouterr()
    assert f"failed   {closed}: Permission denied" in said.err
    assert "1 added, 0 skipped, 1 failed" in said.out
