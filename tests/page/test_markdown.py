"""Markdown on the chat page: shown as it is meant, running and loading nothing."""

from playwright.sync_api import Page, expect

from tests.fake_groq import answer
from tests.page.conftest import add, ask

MEANT = """# Prices

A **ticket** costs *14.50*, ~~15~~, see `price()` and [the site](https://museum.example.org/a_b_c).
snake_case_names stay, 2 * 3 * 4 too, and so does \\*this\\*.

1. first
2. second
   - nested
   - twice

| Visitor | Price |
|---|---:|
| Adult | 14.50 |

> quoted
> twice

```python
if 1 < 2: print("<b>")
```
"""
HOSTILE = r"""
<script>window.hacked = 1</script><img src=https://evil.example/a onerror="window.hacked = 2">
<svg/onload=hacked=3><iframe src="https://evil.example/b"></iframe><style>*{display:none}</style>
![pixel](https://evil.example/c.png) [![x](https://evil.example/d.png)](https://evil.example/e)
[one](javascript:window.hacked=4) [two](JaVaScRiPt:window.hacked=5) [three](data:text/html,<script>)
[four](&#106;avascript:hacked=6) [five](vbscript:x) [six](//evil.example/f) [seven](/admin/logout)
[eight](<java
script:hacked=7>) [nine](\x01javascript:hacked=8) [ten](https://ok.example "onclick=hacked=9")
<https://ok.example/"onmouseover="hacked=10> <javascript:hacked=11>
<a href="javascript:hacked=12">x</a>
`<img src=x onerror=hacked=13>` **<img src=x onerror=hacked=14>**

| <img src=x onerror=hacked=15> | [x](javascript:hacked=16) |
|---|---|
| <meta http-equiv=refresh content=0;url=https://evil.example> | <base href=https://evil.example> |

```html" onload="hacked=17
<script>hacked=18</script>
"""
RENDER = """async (text) => {
  const { Prose } = await import("/static/page/markdown.js");
  const place = document.createElement("div");
  const started = performance.now();
  new Prose(place).show(text, { version: "", find: () => null });
  return (performance.now() - started) / 1000;
}"""
WEARISOME = {
    "stars": "*" * 30_000,
    "pairs of stars": "*a **b " * 5_000,
    "stars and lines": "*_" * 15_000,
    "closing first": "a* " * 10_000 + "*a" * 5_000,
    "brackets": "[" * 30_000,
    "links": "[a](" * 8_000,
    "open links": "](https://a" * 3_000,
    "images": "![" * 15_000,
    "ticks": "".join("`" * n + " " for n in range(1, 240)),
    "quotes": ">" * 30_000,
    "lists": "".join(" " * (2 * n) + "- x\n" for n in range(160)),
    "bullets": "- " * 15_000,
    "cells": "|" * 15_000 + "\n" + "|-" * 7_500,
    "spaces": "# " + " " * 30_000 + "x",
    "rule of spaces": "- - " + " " * 30_000 + "x",
    "fence": "```" + "a " * 15_000 + "`",
    "addresses": "<a@b" * 7_500,
    "dots": "<a@" + "b." * 15_000,
    "slashes": "http://" * 4_000,
    "backslashes": "\\" * 30_000,
}


def shown(page: Page):
    ask(page, "Say it")
    prose = page.locator(".assistant .prose").last
    expect(page.locator(".assistant .meta").last).to_be_visible()
    return prose


def test_markdown_is_shown_as_it_is_meant(page: Page, script) -> None:
    script(answer(MEANT))
    prose = shown(page)

    expect(prose.get_by_role("heading", name="Prices")).to_be_visible()
    expect(prose.locator("p").first).to_have_text(
        "A ticket costs 14.50, 15, see price() and the site."
        "snake_case_names stay, 2 * 3 * 4 too, and so does *this*."
    )
    expect(prose.locator("strong")).to_have_text("ticket")
    expect(prose.locator("em")).to_have_text("14.50")
    expect(prose.locator("del")).to_have_text("15")
    expect(prose.locator("ol > li")).to_have_count(2)
    expect(prose.locator("ol ul > li")).to_have_text(["nested", "twice"])
    expect(prose.locator("td.numeric")).to_have_text("14.50")
    expect(prose.locator("blockquote")).to_have_text("quotedtwice")
    expect(prose.locator("pre")).to_have_text('if 1 < 2: print("<b>")')
    link = prose.get_by_role("link", name="the site")
    assert link.get_attribute("href") == "https://museum.example.org/a_b_c"
    assert link.get_attribute("rel") == "noopener noreferrer nofollow"
    assert link.get_attribute("target") == "_blank"


def test_code_is_copied(page: Page, script) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    script(answer(MEANT))
    shown(page).get_by_role("button", name="Copy code").click()

    expect(page.get_by_role("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == 'if 1 < 2: print("<b>")'


def test_hostile_text_runs_nothing_and_loads_nothing(page: Page, script, server) -> None:
    strangers: list[str] = []
    page.on("request", lambda one: strangers.append(one.url))
    page.on("dialog", lambda dialog: strangers.append(dialog.message))
    add(page, "<img src=x onerror=hacked=20>.txt", f"What is said of tickets.\n{HOSTILE}")
    script(answer(f"{HOSTILE}\n```\n\nTickets [1]"))
    ask(page, f"What of tickets? {HOSTILE}")
    expect(page.locator(".assistant .meta")).to_be_visible()
    page.locator("button.cite").last.click()
    expect(page.locator(".page-text")).to_contain_text("<script>window.hacked = 1</script>")
    page.get_by_label("Search conversations").fill("tickets")
    expect(page.locator("#conversations .snippet").first).to_be_visible()

    assert page.evaluate("window.hacked") is None
    assert [url for url in strangers if not url.startswith(server[0])] == []
    inside = page.locator(".prose, .bubble, .panel, #conversations")
    assert inside.locator("script, img, iframe, style, meta, base, object, [onerror]").count() == 0
    hrefs = page.locator(".prose a").evaluate_all("all => all.map(one => one.href)")
    assert hrefs
    assert {href.split(":")[0] for href in hrefs} == {"https"}
    assert not [href for href in hrefs if href.startswith(server[0])]
    expect(page.locator(".prose")).to_contain_text("<script>window.hacked = 1</script>")


def test_no_text_takes_long(page: Page) -> None:
    took = {kind: page.evaluate(RENDER, text) for kind, text in WEARISOME.items()}

    assert {kind: seconds for kind, seconds in took.items() if seconds > 1} == {}
