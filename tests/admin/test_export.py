"""Conversations as files, from the admin."""

import json
import re
import zipfile
from io import BytesIO

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission
from django.test import AsyncClient

from botgpt.accounts.models import User
from conversations import bundle
from conversations.models import AuditEntry
from tests.factories import complete, make_conversation

pytestmark = pytest.mark.django_db

LIST = "/admin/conversations/conversation/"


@pytest.fixture
def conversation(user):
    """Two answers to one question."""
    conversation = make_conversation(user, title="Opening hours")
    former = conversation.messages.get(role="assistant")
    complete(conversation.regenerate(former.pk)[1], "Good day.")
    return conversation


def fetch(client, path, data=None):
    """As a server sends it; a file is read to its end."""

    async def within_one_loop():
        caller = AsyncClient()
        caller.cookies = client.cookies
        response = await (caller.get(path) if data is None else caller.post(path, data))
        if response.streaming:
            response.sent = b"".join([part async for part in response.streaming_content])
        return response

    return async_to_sync(within_one_loop)()


def export(client, *conversations, kind="json"):
    chosen = {"action": f"export_as_{kind}", "_selected_action": [one.pk for one in conversations]}
    return fetch(client, LIST, chosen)


def test_a_conversation_is_downloaded_with_every_branch(admin_client, conversation):
    html = admin_client.get(f"{LIST}{conversation.pk}/change/").content.decode()
    links = dict(re.findall(r'<a href="([^"]*)">Export as (\w+)</a>', html))
    as_json, as_markdown = [fetch(admin_client, path) for path in links]

    assert list(links.values()) == ["JSON", "Markdown"]
    told = json.loads(as_json.sent)
    assert told["title"] == "Opening hours"
    assert [one["content"] for one in told["messages"]] == ["Hello there", "Hello.", "Good day."]
    assert as_json.headers["Content-Disposition"] == 'attachment; filename="Opening hours.json"'
    assert as_markdown.sent.decode().startswith("# Opening hours\n")
    assert as_markdown.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert "Good day." in as_markdown.sent.decode()


def test_several_are_downloaded_as_one_file(admin_client, conversation, user):
    other = make_conversation(user, title="Opening hours")

    for kind, ending in (("json", "json"), ("markdown", "md")):
        response = export(admin_client, conversation, other, kind=kind)
        assert response.headers["Content-Type"] == "application/zip"
        archive = zipfile.ZipFile(BytesIO(response.sent))
        names = {f"Opening hours {one.pk}.{ending}" for one in (conversation, other)}
        assert set(archive.namelist()) == names
        assert all(b"Hello there" in archive.read(name) for name in names)


def test_more_than_a_few_are_refused(admin_client, conversation, user, monkeypatch):
    monkeypatch.setattr(bundle, "MOST", 1)
    before = AuditEntry.objects.filter(action="exported").count()

    response = export(admin_client, conversation, make_conversation(user))
    told = admin_client.get(response.headers["Location"]).content.decode()

    assert "Choose 1 conversations at most: nothing was exported." in told
    assert AuditEntry.objects.filter(action="exported").count() == before


def test_the_audit_trail_tells_who_exported_what(admin_client, admin_user, conversation, user):
    other = make_conversation(user)
    fetch(admin_client, f"{LIST}{conversation.pk}/export.md")
    export(admin_client, other)

    entries = AuditEntry.objects.filter(action="exported", actor_id=admin_user.pk)
    assert {entry.conversation_id for entry in entries} == {conversation.pk, other.pk}


def test_only_staff_who_may_read_it(client, conversation):
    path = f"{LIST}{conversation.pk}/export.json"
    assert client.get(path).status_code == 302
    staff = User.objects.create_user("ada", password="secret", is_staff=True)
    client.force_login(staff)
    assert client.get(path).status_code == 403

    staff.user_permissions.add(Permission.objects.get(codename="view_conversation"))
    assert fetch(client, path).status_code == 200


@pytest.mark.parametrize("name", ["export.exe", "export.jsonl"])
def test_other_kinds_are_not_found(admin_client, conversation, name):
    assert admin_client.get(f"{LIST}{conversation.pk}/{name}").status_code == 404
