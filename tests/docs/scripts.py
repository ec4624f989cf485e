"""A page's blocks of one language as one script, whose line numbers are those of the page.

So blocks share what they set, in order, and an error names the line of the page it comes from. The
lines of the fences hold what tells apart what each block printed.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from tests.docs.pages import Block

# Begins the line that tells which block ended, by the line of its last fence.
END = "\x1e"
# What a script of the shell begins with: all it sets, later scripts find in their environment.
SHELL = "set -aeuo pipefail; trap 'echo \"$0: line $LINENO fails\" >&2' ERR;"


def script(blocks: Sequence[Block], language: str) -> str:
    """The blocks of that language which are run; empty where there are none."""
    run = [block for block in blocks if block.language == language and not block.not_run]
    if not run:
        return ""
    lines = [""] * (run[-1].last + 1)
    for block in run:
        begins, ends = _fences(language, block, expects_problem=block in before_problems(blocks))
        lines[block.first - 1] = begins
        lines[block.first : block.last - 1] = _commands(block)
        lines[block.last - 1] = ends
    if language == "sh":
        lines[0] = f"{SHELL} {lines[0]}"
        lines[-1] = "env -0 > .environment"
    return "\n".join(lines) + "\n"


def _commands(block: Block) -> list[str]:
    """The lines without what a console shows beside the commands."""
    if not any(line.startswith("$ ") for line in block.lines):
        return list(block.lines)
    commands: list[str] = []
    for line in block.lines:
        goes_on = bool(commands) and commands[-1].endswith("\\")
        commands.append(line if goes_on else line.removeprefix("$ ") * line.startswith("$ "))
    return commands


def _fences(language: str, block: Block, *, expects_problem: bool) -> tuple[str, str]:
    """What stands in place of the fences."""
    mark = f"{block.last}"
    if language == "python":
        return "", f'print("\\n\\x1e{mark}", flush=True)'
    if language == "js":
        return ";", f';console.log("\\n\\x1e{mark}");'
    # Where a page shows a problem as the answer, the call is to fail.
    return "set +e" if expects_problem else "", f"printf '\\n\\036{mark}\\n'; set -e"


def before_problems(blocks: Sequence[Block]) -> list[Block]:
    """Those whose answer, as the page shows it, is a problem."""
    return [block for block, shown in shown_answers(blocks) if "urn:botgpt:problem" in shown.text]


def shown_answers(blocks: Sequence[Block]) -> Iterator[tuple[Block, Block]]:
    """Each block that is followed by JSON, which is what it prints, and that JSON."""
    for block, shown in itertools.pairwise(blocks):
        if shown.language == "json" and block.language in ("sh", "python", "js"):
            yield block, shown


def printed(output: str) -> dict[int, str]:
    """What each block printed, by the line of its last fence."""
    first, *following = output.split(END)
    found, before = {}, first
    for part in following:
        number, _, after = part.partition("\n")
        found[int(number)], before = before, after
    return found


def last_json(text: str) -> Any:
    """The last JSON object or list in what was printed; None where there is none."""
    found, place = None, 0
    decoder = json.JSONDecoder()
    while place < len(text):
        if text[place] in "{[":
            try:
                found, place = decoder.raw_decode(text, place)
                continue
            except ValueError:
                pass
        place += 1
    return found


def misfits(shown: Any, real: Any, path: str = "") -> Iterator[str]:
    """Where what a page shows has another shape than the real answer.

    A page may leave members out. Of a list, each item shown must be like one of the real ones.
    """
    if isinstance(shown, dict) and isinstance(real, dict):
        for name, value in shown.items():
            if name in real:
                yield from misfits(value, real[name], f"{path}.{name}")
            else:
                yield f"{path}.{name} is not in the answer"
    elif isinstance(shown, list) and isinstance(real, list):
        for place, value in enumerate(shown):
            if all(any(misfits(value, one)) for one in real):
                yield f"{path}[{place}] is like no item of the answer"
    elif _kind(shown) != _kind(real):
        yield f"{path} is {json.dumps(real)[:80]} in the answer, not {json.dumps(shown)[:80]}"


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)
