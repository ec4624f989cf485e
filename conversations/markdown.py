"""An answer's Markdown as HTML that runs nothing and loads nothing.

Two walls: the renderer knows no HTML, and what it writes is cleaned as if it did.
"""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

# Where a link may lead. Not to our own pages: their addresses may do something.
SCHEMES = {"http", "https", "mailto"}
ADDRESS = re.compile(r"https?://[^/]|mailto:.", re.IGNORECASE)
TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote"),
    *("strong", "em", "s", "code", "pre", "a", "span"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


class Parser(MarkdownIt):
    """CommonMark with tables; HTML in it is text."""

    def __init__(self) -> None:
        super().__init__("commonmark", {"html": False, "breaks": True}, renderer_cls=Renderer)
        self.enable(["table", "strikethrough"])

    def validateLink(self, url: str) -> bool:
        """What else looks like a link is shown as it was written."""
        return bool(ADDRESS.match(url))


class Renderer(RendererHTML):
    """HTML in which each link shows where it leads, and an image is a link to it.

    `env` holds the address of the link that is open: Markdown nests no links.
    """

    def link_open(
        self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
    ) -> str:
        """Notes the address, for the link's end and for images in it."""
        env["link"] = str(tokens[index].attrs["href"])
        return self.renderToken(tokens, index, options, env)

    def link_close(
        self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
    ) -> str:
        """The host behind the link's text, which may claim another."""
        return f"</a>{_host(env.pop('link'))}"

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        """Never loaded, for whoever serves it would learn who reads the answer, and when."""
        address = str(tokens[index].attrs["src"])
        shown = f"image: {escape(tokens[index].content)}"
        if "link" in env:
            return shown + _host(address)
        return f'<a href="{escape(address)}">{shown}</a>{_host(address)}'


def as_html(text: str) -> SafeString:
    """HTML of the Markdown, with only such tags, attributes and links as are harmless."""
    cleaned = nh3.clean(
        _parser.render(text),
        tags=TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        allowed_classes={"span": {"host"}},
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(cleaned)  # noqa: S308 - cleaned right here


def _host(address: str) -> str:
    """Where an address leads: the host of a page, the address of a mailbox."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or parts.path
    except ValueError:
        host = "no valid address"
    return f' <span class="host">({escape(host)})</span>'


_parser = Parser()
