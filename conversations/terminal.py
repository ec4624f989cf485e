"""How a conversation looks in a terminal, and in a pipe."""

import re
from collections.abc import Sequence
from typing import TextIO

from conversations.models import Citation, Message
from documents.models import Document

DIM, RED, PLAIN = "\x1b[2m", "\x1b[31m", "\x1b[0m"
# Everything by which a text could do more to a terminal than be read.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Terminal:
    """Writes answers and lists to `out`, and what is said about them to `notes`.

    A terminal shows both at one place. In a pipe `out` holds the answers alone.
    """

    def __init__(self, out: TextIO, notes: TextIO) -> None:
        self.out, self.notes = out, notes

    def say(self, text: str) -> None:
        """A piece of an answer, at once."""
        self.out.write(CONTROL.sub("\ufffd", text))
        self.out.flush()

    def line(self, text: str = "") -> None:
        """A line."""
        self.say(f"{text}\n")

    def note(self, text: str) -> None:
        """A line about the answer, dim where there are colours."""
        self._note(text, DIM)

    def error(self, text: str) -> None:
        """A line that says what went wrong."""
        self._note(" ".join(text.split()), RED)

    def citations(self, citations: Sequence[Citation]) -> None:
        """A numbered list: where each quote stands."""
        for one in citations:
            section = f", {one.section}" if one.section else ""
            self.line(f"[{one.number}] {one.document_name}, page {one.page}{section}")
            self.line(f'    "{" ".join(one.quote.split())}"')

    def usage(self, answer: Message) -> None:
        """What the answer took."""
        seconds = (answer.duration_ms or 0) / 1000
        tokens = (
            f"{answer.total_tokens} tokens ({answer.prompt_tokens} + {answer.completion_tokens})"
        )
        if answer.rewrite_tokens:
            tokens = f"{tokens[:-1]} + {answer.rewrite_tokens} for the search)"
        self.note(f"{tokens}, {answer.cost_usd:.6f} USD, {seconds:.1f} s, {answer.model}")

    def message(self, message: Message) -> None:
        """A message of an earlier time; its citations are at hand."""
        if message.role == Message.Role.USER:
            self.line(f"> {message.content}")
            return
        if message.content:
            self.line(message.content)
        self.citations(list(message.citations.all()))
        if message.status != Message.Status.COMPLETED:
            self.note(f"({message.status})")

    def document(self, document: Document) -> None:
        """A line of a list."""
        size = f"{document.page_count} pages, " if document.page_count else ""
        self.line(f"{document.pk}  {document.name}  ({size}{document.status})")

    def _note(self, text: str, colour: str) -> None:
        text = CONTROL.sub("\ufffd", text)
        self.notes.write(f"{colour}{text}{PLAIN}\n" if self.notes.isatty() else f"{text}\n")
        self.notes.flush()
