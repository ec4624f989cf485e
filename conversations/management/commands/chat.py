"""`manage.py chat`: a conversation in the terminal."""

import logging
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

from conversations.chat import HELP, Chat, Opening
from conversations.models import Conversation
from conversations.terminal import Terminal
from documents.explained import ExplainedCommand
from documents.models import Document
from llm import catalogue

# Who chats where nobody is named.
LOCAL_USER = UUID("10ca1000-0000-4000-8000-000000000000")


class Command(ExplainedCommand):
    """Reads questions from the terminal, or one a line from a pipe."""

    help = "Chat in the terminal, or with one question a line from a pipe."
    examples = """
manage.py chat --document report.pdf
manage.py chat --user 5e0f2a4e-5c0f-4d8e-9d0a-2f6f0e9b1c11 --mode grounded_rag
manage.py chat --mode grounded_rag < questions.txt > answers.txt
"""
    notes = f"""
Within it:

{HELP}
"""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares who chats, about what, with which model."""
        parser.add_argument(
            "--user", type=UUID, default=LOCAL_USER, help=f"who chats (default: {LOCAL_USER})"
        )
        parser.add_argument(
            "--document",
            action="append",
            default=[],
            metavar="ID_OR_NAME",
            help="answer from this document of the user's (may be repeated)",
        )
        parser.add_argument(
            "--mode",
            choices=Conversation.Mode.values,
            help="grounded_rag without --document answers from all of the user's documents",
        )
        parser.add_argument("--model", help=f"one of: {', '.join(catalogue.MODELS)}")
        parser.add_argument("--system", default="", metavar="TEXT", help="instructions of your own")
        parser.add_argument(
            "--conversation", type=UUID, metavar="ID", help="go on with this one of the user's"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises CommandError where options do not fit, or a line of a pipe has failed."""
        with _silent_logs():
            self._chat(options)

    def _chat(self, options: dict[str, Any]) -> None:
        interactive = sys.stdin.isatty()
        terminal = Terminal(sys.stdout, sys.stdout if interactive else sys.stderr)
        chat = self._begun(terminal, options)
        self._lead(chat, interactive)
        if chat.stopped and not interactive:
            sys.exit(128 + signal.SIGINT)
        if chat.failures and not interactive:
            raise CommandError(f"{chat.failures} of the lines failed.")

    def so_far(self) -> str:
        """Each message is kept as it comes."""
        return "What was said is kept."

    def _begun(self, terminal: Terminal, options: dict[str, Any]) -> Chat:
        """Raises CommandError."""
        user = get_user_model().objects.known_as(options["user"])
        opening = _opening(user, options)
        if options["conversation"] is None:
            return Chat(user, opening, terminal)
        if options["document"] or options["mode"] or options["system"]:
            raise CommandError("--conversation goes on as it was opened: name its id alone.")
        found = Conversation.objects.visible_to(user.pk).filter(pk=options["conversation"]).first()
        if found is None:
            raise CommandError("This user has no such conversation.")
        if options["model"]:
            found.model = opening.model
            found.save(update_fields=["model"])
        chat = Chat(user, Opening.like(found), terminal, found)
        chat.history()
        return chat

    def _lead(self, chat: Chat, interactive: bool) -> None:
        if not interactive:
            chat.take(_piped(chat))
            return
        chat.terminal.note("BOT GPT. /help lists the commands, Ctrl-D ends.")
        if not settings.GROQ_API_KEY:
            chat.terminal.note("No GROQ_API_KEY: grounded questions are answered with quotes.")
        with suppress(KeyboardInterrupt):
            chat.take(_typed())
        chat.terminal.line()
        if chat.conversation is not None:
            own = "" if chat.user.pk == LOCAL_USER else f" --user {chat.user.pk}"
            chat.terminal.note(
                f"Go on with: manage.py chat{own} --conversation {chat.conversation.pk}"
            )


def _piped(chat: Chat) -> Iterator[str]:
    """The lines of a pipe, until the user stops one of the answers."""
    for line in sys.stdin:
        yield line
        if chat.stopped:
            return


def _typed() -> Iterator[str]:
    """Lines as they are typed, until Ctrl-D; with history and editing where the system has them."""
    with suppress(ImportError):
        import readline  # noqa: F401
    while True:
        try:
            yield input("> ")
        except EOFError:
            return


def _opening(user: Any, options: dict[str, Any]) -> Opening:
    """Raises CommandError."""
    mode = options["mode"] or ("grounded_rag" if options["document"] else "open_chat")
    if options["document"] and mode == Conversation.Mode.OPEN_CHAT:
        raise CommandError("open_chat reads no documents: leave out --mode or --document.")
    try:
        model = catalogue.find(options["model"] or settings.GROQ_MODEL).name
    except catalogue.UnknownModel as error:
        raise CommandError(str(error)) from error
    documents = {
        document.pk: document for one in options["document"] for document in _find(user, one)
    }
    return Opening(Conversation.Mode(mode), model, options["system"], tuple(documents.values()))


def _find(user: Any, wanted: str) -> list[Document]:
    """The user's document of that id, or those of that name. Raises CommandError."""
    own = Document.objects.visible_to(user.pk)
    with suppress(ValueError):
        if found := list(own.filter(pk=UUID(wanted))):
            return found
    if named := list(own.filter(name=wanted)):
        return named
    raise CommandError(f"This user has no document {wanted}: manage.py ingest reads some.")


@contextmanager
def _silent_logs() -> Iterator[None]:
    """Log lines would stand among the words: what goes wrong is told in the conversation."""
    loggers = [logging.getLogger(name) for name in ("conversations", "documents", "llm")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
