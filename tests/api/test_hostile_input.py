"""Input that no honest client sends: refused with a reason, never an error of ours."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from conversations.models import Conversation, Message
from documents.models import Document
from tests.factories import (
    assert_problem,
    call,
    events_of,
    get,
    make_conversation,
    make_document,
    make_user,
    post,
)

pytestmark = pytest.mark.django_db

HUGE = "1" + "0" * 400
USER = "5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11"


@pytest.fixture
def places(user) -> dict[str, str]:
    """What stands in the addresses of calls: a conversation, its answer, a document."""
    conversation = make_conversation(user)
    answer = conversation.messages.get(role=Message.Role.ASSISTANT)
    document = make_document(user)
    return {"c": str(conversation.pk), "m": str(answer.pk), "d": str(document.pk)}


def send(api: Client, method: str, path: str, body: str | bytes, **headers: str) -> Any:
    """A body as it stands."""
    content_type = headers.pop("content_type", "application/json")
    address = path if path.startswith("/openai") else f"/api/v1{path}"
    return api.generic(method, address, body, content_type, headers=headers)


# --- Text ----------------------------------------------------------------------------------------

# Each text that a call takes, `?` in its place.
TEXTS = [
    ("POST", "/conversations", {"user_id": USER, "first_message": "?"}, "first_message"),
    ("POST", "/conversations", {"user_id": USER, "first_message": "x", "title": "?"}, "title"),
    (
        *("POST", "/conversations"),
        {"user_id": USER, "first_message": "x", "system_prompt": "?"},
        "system_prompt",
    ),
    ("POST", "/conversations", {"user_id": "?", "first_message": "x"}, "user_id"),
    ("POST", "/conversations", {"user_id": USER, "first_message": "x", "model": "?"}, "model"),
    ("POST", "/conversations", {"user_id": USER, "first_message": "x", "stop": ["?"]}, "stop.0"),
    ("POST", "/conversations", {"user_id": USER, "first_message": "x", "?": 1}, "?"),
    ("PATCH", "/conversations/{c}", {"title": "?"}, "title"),
    ("POST", "/conversations/{c}/messages", {"content": "?"}, "content"),
    ("POST", "/conversations/{c}/context", {"content": "?"}, "content"),
    (
        *("PUT", "/conversations/{c}/messages/{m}/feedback"),
        {"rating": "up", "comment": "?"},
        "comment",
    ),
    ("POST", "/search", {"user_id": USER, "query": "?"}, "query"),
]


def test_nul_and_half_characters_are_refused(api, places):
    for method, path, body, field in TEXTS:
        for odd in (r"a\u0000b", r"a\ud800b", r"\udfff\ud800"):
            text = json.dumps(body).replace('"?', f'"{odd}')
            refused = assert_problem(send(api, method, path.format(**places), text), 400)
            assert field in refused["errors"] or field == "?"


@pytest.mark.parametrize("odd", [r"a\u0000b", r"a\ud800b"])
def test_nul_and_half_characters_are_refused_in_openais_shape(api, odd):
    said = {"role": "user", "content": "?"}
    for body in (
        {"model": "openai/gpt-oss-120b", "messages": [said]},
        {"model": "?", "messages": [said | {"content": "x"}]},
        {"model": "openai/gpt-oss-120b", "messages": [said | {"role": "?"}]},
        {
            "model": "openai/gpt-oss-120b",
            "messages": [said | {"content": [{"type": "?", "text": "x"}]}],
        },
        {
            "model": "openai/gpt-oss-120b",
            "messages": [said | {"content": "x"}],
            "file_ids": ["?"],
        },
    ):
        text = json.dumps(body).replace('"?', f'"{odd}')
        response = send(api, "POST", "/openai/v1/chat/completions", text)
        assert response.status_code in (400, 404), response.content
        assert response.json()["error"]["message"]


# --- Numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    [
        HUGE,
        "9" * 5_000,
        "-1",
        "0",
        "1e3",
        "NaN",
        "0x1",
        "1_0",
        "+1",
        " 1",
        "٣",
        "３",
        "%00",
        "last",
    ],
)
def test_a_page_is_a_number_from_1(api, user_id, page):
    assert_problem(get(api, f"/documents?user_id={user_id}&page={page}"), 404)


@pytest.mark.parametrize("limit", [HUGE, "-1", "0", "101", "1e1", "٣", "%00", "", "null"])
def test_a_limit_is_a_number_up_to_100(api, user_id, limit):
    assert "limit" in assert_problem(get(api, f"/documents?user_id={user_id}&limit={limit}"), 400)[
        "errors"
    ]  # fmt: skip
    assert api.get(f"/openai/v1/files?limit={limit or '0'}").status_code in (200, 400)


# Each number that a call takes, "?" in its place.
NUMBERS = [
    ("POST", "/search", {"user_id": USER, "query": "x", "limit": "?"}, "limit"),
    (
        *("PUT", "/conversations/{c}/messages/{m}/feedback"),
        {"rating": "up", "document_id": "{d}", "page": "?"},
        "page",
    ),
    *(
        ("PATCH", "/conversations/{c}", {name: "?"}, name)
        for name in ("seed", "max_completion_tokens", "temperature", "top_p")
    ),
]


def test_numbers_beyond_all_bounds_are_refused(api, places):
    beyond = [HUGE, "-" + HUGE, "1e400", "-1e400", str(2**63), "1" + "0" * 5_000, '"5"', "true"]
    for method, path, body, field in NUMBERS:
        for number in [*beyond, "NaN", "Infinity", "-Infinity"]:
            text = json.dumps(body).replace('"?"', number).replace("{d}", places["d"])
            refused = assert_problem(send(api, method, path.format(**places), text), 400)
            assert field in refused.get("errors", {field: []}), (field, number)


@pytest.mark.parametrize("page", [2**31, 2**53])
def test_a_page_that_no_document_has_is_refused(api, places, page):
    body = {"rating": "down", "document_id": places["d"], "page": page}
    path = f"/conversations/{places['c']}/messages/{places['m']}/feedback"

    assert "page" in assert_problem(send(api, "PUT", path, json.dumps(body)), 400)["errors"]


# --- Ids and dates -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "identity",
    [
        f"urn:uuid:{USER}",
        "{" + USER + "}",
        USER.replace("5", "５"),
        USER.replace("5", "٥"),
        USER + "%00",
        USER + "%0A",
        "5-e0f2a4e5c0f4d8e9d0a2f6f0e9b1c11",
        "0",
        "",
        HUGE,
    ],
)
def test_an_id_is_written_in_one_way(api, identity):
    assert "user_id" in assert_problem(get(api, f"/documents?user_id={identity}"), 400)["errors"]
    assert_problem(get(api, f"/documents/x{identity}"), 404)


def test_an_empty_user_is_not_everyone(api, places):
    for path in ("/conversations", "/documents", f"/conversations/{places['c']}"):
        assert "user_id" in assert_problem(get(api, f"{path}?user_id="), 400)["errors"]
    assert_problem(send(api, "DELETE", f"/conversations/{places['c']}?user_id=", ""), 400)
    assert Conversation.objects.count() == 1
    response = api.get("/openai/v1/files", headers={"X-User-ID": ""})
    assert response.json()["error"]["param"] == "X-User-ID"


@pytest.mark.parametrize(
    "days",
    [
        *("from=0001-01-01", "to=9999-12-31", "from=2026-02-30", "from=10000-01-01"),
        *("from=٢٠٢٦-01-01", "to=-1", "to=", "from=2026-01-02&to=2026-01-01", "to=%00"),
        *(f"from={HUGE}", "from=2026-01-01T00:00:00Z", "group_by=%00", "group_by="),
    ],
)
def test_days_out_of_range_are_refused(api, user_id, days):
    assert_problem(get(api, f"/usage?user_id={user_id}&{days}"), 400, "invalid")


# --- JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [200, 900, 2_000, 100_000])
@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "deep"}])
def test_json_that_is_nested_without_end_is_refused(api, depth, key):
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        deep = opening * depth + "1" + closing * depth
        body = f'{{"user_id": "{USER}", "first_message": {deep}}}'
        assert_problem(send(api, "POST", "/conversations", body, **key), 400)
        assert_problem(send(api, "POST", "/conversations", deep, **key), 400)


def test_a_field_named_twice_is_refused(api, user_id):
    body = f'{{"user_id": "{user_id}", "user_id": "{uuid4()}", "first_message": "x"}}'

    assert "user_id" in assert_problem(send(api, "POST", "/conversations", body), 400)["detail"]
    assert not Conversation.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b'"x"', b"1", b"{", b"\xff\xfe", b"\xef\xbb\xbf{}", b"{}{}"),
        *(b'{"first_message": "\xff"}', b"\0", b"{'a': 1}", '{"user_id": "x"}'.encode("utf-16")),
    ],
)
def test_what_is_no_object_of_json_is_refused(api, body):
    assert_problem(send(api, "POST", "/conversations", body), 400)
    assert send(api, "POST", "/openai/v1/chat/completions", body).status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "", ";", "a/b/c", "é"])
def test_a_body_of_another_kind_is_refused(api, kind):
    response = send(api, "POST", "/search", '{"query": "x"}', content_type=kind)

    assert_problem(response, 415, "unsupported_media_type")


# --- Addresses, methods and headers --------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("%", "%zz", "%ff", "%c0%af", "%00", "%ud800", "%ED%A0%80", "..%2f..%2fetc%2fpasswd"),
        *("%0A", "%0D%0AX-Evil:%201", "é", "a" * 20_000, "//", "?%ff=%ff", "?%00", "?=&=&&"),
    ],
)
def test_addresses_that_cannot_be_read_are_nowhere(api, path):
    for base in ("/api/v1/", "/api/v1/conversations/", "/nowhere/"):
        response = api.get(base + path)
        assert_problem(response, 404)
        assert "X-Evil" not in response.headers
    openai = api.get(f"/openai/v1/{path}")
    assert (openai.status_code, openai.headers["Content-Type"]) == (404, "application/json")
    assert openai.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    "query",
    [
        *("query=%00", "query=%ff", "query=%", "query=" + "x" * 300_000, "query=a&query=b"),
        *("query=%ED%A0%80", "query=%E2%80%AE", "&".join(f"a{n}=1" for n in range(5_000))),
    ],
)
def test_queries_of_any_form_are_answered(api, user_id, query):
    response = get(api, f"/conversations/search?user_id={user_id}&{query}")

    assert response.status_code in (200, 400), response.content
    if response.status_code == 400:
        assert_problem(response, 400)


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "GETT", "__INIT__", "DISPATCH"])
def test_methods_that_no_call_takes_are_told_so(api, places, method):
    for path in ("/conversations", "/documents", f"/documents/{places['d']}", "/models"):
        assert_problem(send(api, method, path, ""), 405)
    assert send(api, method, "/openai/v1/models", "").status_code == 405


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_a_method_is_what_it_is(api, places, header):
    path = f"/documents/{places['d']}"

    assert_problem(send(api, "POST", f"{path}?_method=DELETE", "", **{header: "DELETE"}), 405)
    assert Document.objects.count() == 1


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        *(("application/xml", 406), ("a/b/c", 406), (";;;", 406), ("x" * 20_000, 406)),
        *(("*/*", 200), ("application/json;q=0.1, text/html", 200), ("", 200)),
        *(("application/json; v*=nope''x", 406), ("\xff", 406)),
    ],
)
def test_what_nobody_speaks_is_not_acceptable(api, accept, status):
    response = get(api, "/models", Accept=accept)

    assert response.status_code in {status, 406}
    if response.status_code != 200:
        assert_problem(response, 406)


@pytest.mark.parametrize(
    "event_id", ["", ":", "x:1", "{m}:-1", "{m}:" + HUGE, "{m}:1e3", "\xff", "{m}:1:2"]
)
def test_an_event_that_never_was_is_taken_for_none(places, event_id):
    api = Client(raise_request_exception=False)
    path = f"/conversations/{places['c']}/messages/{places['m']}/stream"

    response = call(api, "GET", path, "", **{"Last-Event-ID": event_id.format(**places)})

    assert response.status_code == 200
    assert next(event for _, event, _ in events_of(response)) == "message.created"


@pytest.mark.parametrize(
    ("key", "status"),
    [
        *(("", 400), (" ", 400), ("a" * 256, 400), ("\xe9", 400), ("a b", 400), ("\x7f", 400)),
        *(("a" * 255, 200), ("'; DROP TABLE x; --".replace(" ", "_"), 200), ("%00", 200)),
    ],
)
def test_a_key_to_send_again_is_visible_ascii(api, user_id, key, status):
    body = {"user_id": str(user_id), "query": "x"}

    response = post(api, "/search", body, **{"Idempotency-Key": key})

    assert response.status_code == status, response.content


@pytest.mark.parametrize(
    "given",
    [
        *("Bearer", "Bearer ", "Bearer \xff", "Bearer " + "a" * 50_000, "Basic !!!", "bearer a b"),
        *("Bearer bot_" + "\x01", "Token x", "Bearer bot_é", ",", "Bearer bot_a\x00b"),
    ],
)
def test_keys_of_any_form_are_refused(api, settings, given):
    settings.OPEN_ACCESS = False

    response = get(api, "/models", Authorization=given)

    assert_problem(response, 401)
    assert api.get("/openai/v1/models", headers={"Authorization": given}).status_code == 401


@pytest.mark.parametrize(
    "cookie",
    [
        r'sessionid="aaaaaaaa\000"',
        "sessionid=" + "a" * 5_000,
        'sessionid="',
        "=;=;",
        "sessionid=é" * 9,
    ],
)
def test_cookies_of_any_form_sign_nobody_in(api, cookie):
    assert get(api, "/models", Cookie=cookie).status_code == 200
    assert api.get("/admin/", headers={"Cookie": cookie}).status_code == 302


@pytest.mark.parametrize("given", ["a" * 65, "a\nb", "é", "../x", "", "\x00"])
def test_a_request_id_that_is_not_plain_is_made_anew(api, given):
    response = get(api, "/models", **{"X-Request-ID": given})

    assert response.status_code == 200
    assert response.headers["X-Request-ID"] not in ("", given)


# --- The admin -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        *("q=%00", "q=%ff", "o=99999999999", "p=" + HUGE, "p=-1", "id__exact=%00", "e=%00"),
        *("status__exact=%00", "kind__exact=%ff", "user__id__exact=x", "created_at__gte=%00"),
        *("_facets=%00", "nothing__here=1", "id__in=%00,1"),
    ],
)
def test_lists_of_the_admin_take_any_query(admin_client, document, query):
    admin_client.raise_request_exception = False
    for kind in ("documents/document", "conversations/conversation", "documents/chunk"):
        response = admin_client.get(f"/admin/{kind}/?{query}")
        assert response.status_code in (200, 302, 400), (kind, response.status_code)


@pytest.mark.parametrize("identity", ["%00", "x", "é", HUGE, "_00", "_ZZ", "..%2f", USER])
def test_pages_of_the_admin_that_are_not_there_are_said_to_be_gone(admin_client, identity):
    admin_client.raise_request_exception = False
    for kind in ("documents/document", "conversations/conversation", "accounts/user"):
        response = admin_client.get(f"/admin/{kind}/{identity}/change/")
        assert response.status_code in (302, 404), kind


def test_a_name_to_sign_in_with_may_be_anything(api):
    for name in ("a\0b", "é" * 9_000, "\u202e", "' OR 1=1 --"):
        answer = api.post("/admin/login/", {"username": name, "password": "x\0"})
        assert answer.status_code == 200
    make_user()
