"""GET /export and manage.py export: all data of a user, and nobody else's."""

import io
import json
import zipfile
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from botgpt.accounts import archive
from botgpt.accounts.models import APIKey
from conversations.models import Feedback
from tests.factories import (
    TEXT,
    assert_problem,
    call,
    complete,
    make_conversation,
    make_document,
    make_usage,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db


def unpacked(content):
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        assert packed.testzip() is None
        return {name: packed.read(name) for name in packed.namelist()}


def export(api, query="", **headers):
    response = call(api, "GET", f"/export{query}", **headers)
    assert response.status_code == 200, response.content
    assert response.headers["Content-Type"] == "application/zip"
    return unpacked(response.sent)


def lines(content):
    return [json.loads(line) for line in content.decode().splitlines()]


def test_it_holds_all_that_the_user_has(api, user, document, groq):
    key, secret = APIKey.objects.issue("phone", user, daily_tokens=1000)
    opened = {
        "user_id": str(user.pk),
        "mode": "grounded_rag",
        "document_ids": [str(document.pk)],
        "first_message": "What does a ticket cost?",
    }
    made = post(api, "/conversations", opened).json()
    place = f"/conversations/{made['id']}/messages/{made['answer']['id']}"
    again = post(api, f"{place}/regenerate", {}).json()["answer"]
    Feedback.objects.create(message_id=again["id"], rating="up", comment="Right")
    make_usage(user, key_id=key.pk)

    files = export(api, f"?user_id={user.pk}")

    assert sorted(files) == sorted(
        [
            "README.txt",
            "profile.json",
            "keys.jsonl",
            "usage.jsonl",
            f"conversations/{made['id']}.json",
            "documents.jsonl",
            f"documents/{document.pk}.txt",
        ]
    )
    assert json.loads(files["profile.json"])["id"] == str(user.pk)
    [told] = lines(files["keys.jsonl"])
    assert (told["name"], told["daily_tokens"]) == ("phone", 1000)
    talk = json.loads(files[f"conversations/{made['id']}.json"])
    assert [one["id"] for one in talk["messages"]] == [
        made["message"]["id"],
        made["answer"]["id"],
        again["id"],
    ]
    assert talk["messages"][2]["citations"][0]["document_name"] == "museum.txt"
    assert talk["messages"][2]["feedback"]["comment"] == "Right"
    assert len(lines(files["usage.jsonl"])) == 3
    [about] = lines(files["documents.jsonl"])
    assert about["file"] == f"documents/{document.pk}.txt"
    assert files[about["file"]] == TEXT.encode()
    everything = b"".join(files.values())
    assert key.digest.encode() not in everything
    assert secret.encode() not in everything


def test_it_holds_nothing_of_others(api, user):
    other = make_user()
    theirs = make_document(other), make_conversation(other), APIKey.objects.issue("x", other)[0]
    make_usage(other)

    files = export(api, f"?user_id={user.pk}")

    everything = b"".join([*files.values(), *(name.encode() for name in files)])
    assert not any(str(one.pk).encode() in everything for one in (other, *theirs))
    assert sorted(files) == [
        "README.txt",
        "documents.jsonl",
        "keys.jsonl",
        "profile.json",
        "usage.jsonl",
    ]


def test_a_key_exports_its_owner_alone(api, user, settings):
    settings.OPEN_ACCESS = False
    headers = {"Authorization": f"Bearer {APIKey.objects.issue('own', user)[1]}"}

    assert json.loads(export(api, **headers)["profile.json"])["id"] == str(user.pk)
    assert_problem(call(api, "GET", f"/export?user_id={make_user().pk}", **headers), 404)
    assert_problem(call(api, "GET", "/export"), 401)


def test_a_service_key_says_whose(api):
    assert "user_id" in assert_problem(call(api, "GET", "/export"), 400)["errors"]
    assert_problem(call(api, "GET", f"/export?user_id={uuid4()}"), 404)


def test_a_lost_file_is_told_and_left_out(api, user, document):
    Path(document.file.path).unlink()

    files = export(api, f"?user_id={user.pk}")

    assert lines(files["documents.jsonl"])[0]["file"] is None
    assert not any(name.startswith("documents/") for name in files)


def test_much_is_read_in_batches(api, user, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(archive, "ROWS", 4)
    for number in range(6):
        make_document(user, f"Text {number}.")
        make_usage(user)
        complete(make_conversation(user).ask("More?")[1], "No.")

    with django_assert_num_queries(2 + 4 * 3 + 6 * 5):
        files = export(api, f"?user_id={user.pk}")

    assert len(files) == 5 + 6 + 6
    assert len(lines(files["usage.jsonl"])) == len(lines(files["documents.jsonl"])) == 6


def test_the_command_writes_the_same(user, document, tmp_path):
    target = tmp_path / "jane.zip"

    call_command("export", user.username, "--to", str(target), stdout=io.StringIO())

    assert f"documents/{document.pk}.txt" in unpacked(target.read_bytes())
    assert target.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.glob("*.zip*")] == ["jane.zip"]


def test_the_command_overwrites_nothing_and_says_what_is_wrong(user, tmp_path):
    taken = tmp_path / "taken.zip"
    taken.write_text("mine")

    for name, target, text in [
        (str(user.pk), taken, "there already"),
        ("nobody", tmp_path / "new.zip", "no user nobody"),
        (str(user.pk), tmp_path / "no" / "folder.zip", "cannot be written"),
    ]:
        with pytest.raises(CommandError, match=text):
            call_command("export", name, "--to", str(target))
    assert taken.read_text() == "mine"
