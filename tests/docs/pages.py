"""The pages of the documentation, and the code that stands in them.

A fenced block is code of a language. What cannot be run says why in a line before it:

    <!-- not run: it needs Docker -->
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# What a fence calls a language, and what we call it.
LANGUAGES = {
    **dict.fromkeys(("sh", "bash", "shell", "console"), "sh"),
    **dict.fromkeys(("python", "py"), "python"),
    **dict.fromkeys(("js", "javascript"), "js"),
    **dict.fromkeys(("json", "env", "yaml"), ""),
}
# For people to look at.
PROSE = {"text", "mermaid"}
FENCE = re.compile(r" {0,3}(`{3,}|~{3,})\s*(\S*)")
NOT_RUN = re.compile(r"<!--\s*not run:?(.*?)-->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its lines, and the lines of the page that its fences are."""

    page: str
    language: str
    lines: tuple[str, ...]
    first: int
    last: int
    not_run: str | None

    @property
    def where(self) -> str:
        """For people, and for editors that open it."""
        return f"{self.page}:{self.first}"

    @property
    def text(self) -> str:
        """What stands in it."""
        return "\n".join(self.lines)


def blocks(path: Path) -> list[Block]:
    """The blocks of a page in order."""
    return list(_blocks(path.relative_to(ROOT).as_posix(), path.read_text().splitlines()))


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    before, number = "", 0
    while number < len(lines):
        opening = FENCE.match(lines[number])
        if opening is None:
            # A reason may take more lines than one; an empty line changes nothing.
            before = f"{before}\n{lines[number]}" if _goes_on(before) else lines[number] or before
            number += 1
            continue
        fence, language = opening.groups()
        last = next(
            (n for n in range(number + 1, len(lines)) if lines[n].strip() == fence), len(lines)
        )
        assert last < len(lines), f"{page}:{number + 1}: a block without an end"
        marked = NOT_RUN.search(before)
        yield Block(
            page=page,
            language=LANGUAGES.get(language) or language,
            lines=tuple(lines[number + 1 : last]),
            first=number + 1,
            last=last + 1,
            not_run=" ".join(marked[1].split()) if marked else None,
        )
        before, number = "", last + 1


def _goes_on(before: str) -> bool:
    return "<!--" in before and "-->" not in before
