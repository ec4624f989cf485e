"""Lists of the admin: what they find, and that none looks at all rows of a long table."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.admin import lists
from conversations.models import Actor, ActorKind, AuditEntry, Conversation, Message
from documents import admin_lists
from tests.factories import make_conversation, make_usage, make_user

pytestmark = pytest.mark.django_db

CONVERSATIONS = "/admin/conversations/conversation/"
MESSAGES = "/admin/conversations/message/"
AUDIT = "/admin/conversations/auditentry/"
USAGE = "/admin/conversations/usageentry/"


@pytest.fixture
def mine():
    return make_conversation(make_user(), title="Tickets for the museum")


@pytest.fixture
def others():
    return make_conversation(make_user(), title="Weather", mode="grounded_rag")


def listed(admin_client, address, query=""):
    response = admin_client.get(f"{address}{query}")
    assert response.status_code == 200, query
    return {row.pk for row in response.context["cl"].result_list}


def message_ids(*conversations):
    return {row.pk for one in conversations for row in one.messages.all()}


def test_conversations_are_found_by_words_ids_and_names(admin_client, mine, others):
    message = mine.messages.first()
    name = mine.user.username
    for term in ("museum", "TICKETS muse", mine.pk, mine.user_id, message.pk, name):
        assert listed(admin_client, CONVERSATIONS, f"?q={term}") == {mine.pk}, term
    for term in ("weather museum", "nothing", "'", ":*", "!", "\\"):
        assert listed(admin_client, CONVERSATIONS, f"?q={term}") == set(), term


def test_messages_are_found_by_ids_and_names(admin_client, mine, others):
    message = mine.messages.first()
    assert listed(admin_client, MESSAGES, f"?q={message.pk}") == {message.pk}
    for term in (mine.pk, mine.user_id, mine.user.username):
        assert listed(admin_client, MESSAGES, f"?q={term}") == message_ids(mine), term
    assert listed(admin_client, MESSAGES, "?q=nothing") == set()


@pytest.mark.parametrize("by_name", [False, True])
def test_each_list_is_narrowed_to_a_user_by_id_or_name(admin_client, mine, others, by_name):
    user = mine.user
    entry = make_usage(user)
    make_usage(others.user)
    mine.note("viewed", Actor(ActorKind.USER, user.pk))
    query = f"?user__id__exact={user.username if by_name else user.pk}"

    assert listed(admin_client, CONVERSATIONS, query) == {mine.pk}
    assert listed(admin_client, MESSAGES, query) == message_ids(mine)
    assert listed(admin_client, USAGE, query) == {entry.pk}
    trail = AuditEntry.objects.filter(user_id=user.pk).values_list("pk", flat=True)
    assert listed(admin_client, AUDIT, query) == set(trail)
    for address in (CONVERSATIONS, MESSAGES, USAGE, AUDIT):
        assert listed(admin_client, address, "?user__id__exact=nobody") == set()


def test_the_form_for_a_user_keeps_what_else_is_chosen(admin_client, mine):
    html = admin_client.get(f"{CONVERSATIONS}?q=museum&mode=open_chat").content.decode()

    assert '<input type="hidden" name="mode" value="open_chat">' in html
    assert '<input type="hidden" name="q" value="museum">' in html


def test_filters_narrow(admin_client, mine, others):
    Conversation.objects.filter(pk=others.pk).update(archived=True)
    broken = others.messages.last()
    Message.objects.filter(pk=broken.pk).update(status="failed", model="openai/gpt-oss-20b")

    assert listed(admin_client, CONVERSATIONS, "?mode=open_chat") == {mine.pk}
    assert listed(admin_client, CONVERSATIONS, "?archived=1") == {others.pk}
    assert listed(admin_client, CONVERSATIONS, "?archived=0&mode=grounded_rag") == set()
    assert listed(admin_client, MESSAGES, "?status=failed") == {broken.pk}
    assert listed(admin_client, MESSAGES, "?model=openai/gpt-oss-20b&role=assistant") == {broken.pk}
    for query in ("?mode=x", "?archived=x", "?status=x"):
        address = CONVERSATIONS if "mode" in query or "archived" in query else MESSAGES
        assert listed(admin_client, address, query) == set()


def test_a_filter_without_an_index_looks_among_the_newest(admin_client, monkeypatch, mine, others):
    monkeypatch.setattr(lists, "LISTED", 1)
    monkeypatch.setattr(admin_lists, "ROWS_COUNTED", 1)
    for one in (mine, others):
        Message.objects.filter(conversation=one).update(status="failed")

    assert listed(admin_client, CONVERSATIONS, "?mode=open_chat") == set()
    assert listed(admin_client, CONVERSATIONS, "?mode=grounded_rag") == {others.pk}
    # Of what broke off there is an index: all of it is found, and counted as far as is listed.
    page = admin_client.get(f"{MESSAGES}?status=failed").content.decode()
    assert "1+ message" in page


@pytest.mark.parametrize("query", ["", "?q=museum", "?mode=open_chat", "?user__id__exact={user}"])
def test_a_list_takes_as_many_queries_for_many_rows_as_for_one(admin_client, mine, query):
    def cost():
        with CaptureQueriesContext(connection) as queries:
            listed(admin_client, CONVERSATIONS, query.format(user=mine.user_id))
        return len(queries)

    one = cost()
    for _ in range(9):
        make_conversation(mine.user, title="Tickets for the museum")

    assert cost() == one <= 7


@pytest.mark.parametrize("address", [CONVERSATIONS, MESSAGES, USAGE, AUDIT])
def test_no_list_counts_or_sorts_all_rows(admin_client, monkeypatch, mine, others, address):
    monkeypatch.setattr(lists.Newest, "list_per_page", 1)
    for one in (mine, others):
        make_usage(one.user)
    with CaptureQueriesContext(connection) as queries:
        listed(admin_client, address)

    table = address.split("/")[3]
    own = [one["sql"] for one in queries if f'FROM "conversations_{table}"' in one["sql"]]
    assert len(own) == 2
    assert all("LIMIT" in sql for sql in own)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {own[-1]}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    # By an index in its order; rows of the same moment alone are sorted, and those of one row.
    rows = plan.partition("SubPlan")[0]
    assert "Index" in rows
    assert "-> Sort" not in rows.replace("->  ", "-> "), plan
