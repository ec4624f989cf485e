"""Every link within the documentation leads somewhere, and README leads to every page."""

import re
from pathlib import Path

from tests.docs.pages import PAGES, ROOT, blocks

LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    lines = page.read_text().splitlines()
    for block in blocks(page):
        lines[block.first - 1 : block.last] = [""] * (block.last - block.first + 1)
    return "\n".join(lines)


def anchors(page: Path) -> set[str]:
    """What a heading is called in a link."""
    headings = (re.sub(r"[^\w\- ]", "", one.lower()) for one in HEADING.findall(prose(page)))
    return {one.replace(" ", "-") for one in headings}


def misses(page: Path, target: str, anchor: str) -> bool:
    there = (page.parent / target).resolve() if target else page
    if not there.exists():
        return True
    return bool(anchor) and there.suffix == ".md" and anchor not in anchors(there)


def test_every_link_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}#{anchor}"
        for page in PAGES
        for target, anchor in LINK.findall(prose(page))
        if misses(page, target, anchor)
    ]
    assert broken == []


def test_readme_leads_to_every_page() -> None:
    linked = {target for target, _ in LINK.findall((ROOT / "README.md").read_text())}
    pages = {page.relative_to(ROOT).as_posix() for page in PAGES[1:]}
    assert pages - linked == set()
