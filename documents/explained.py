"""What our commands share: help with examples, progress on a terminal, a word when interrupted."""

import logging
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterable
from textwrap import fill
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, DjangoHelpFormatter
from tqdm import tqdm

HELP_WIDTH = 90


class _HelpFormatter(RawDescriptionHelpFormatter, DjangoHelpFormatter):
    """Keeps line ends, and tells of Django's own options last."""


class Bar(tqdm):  # type: ignore[type-arg]
    """A bar that counts where it is not shown, too."""

    done = 0

    def update(self, n: float | None = 1) -> bool | None:
        """So many more are done."""
        self.done += int(n or 0)
        return super().update(n)


class ExplainedCommand(BaseCommand):
    """A command whose help ends with examples.

    How it ends when it is interrupted, its output closed or the database away is told by
    `botgpt.command_line`, for all commands alike.
    """

    # Lines such as `manage.py search "opening hours" --user jane`, and below them what else there
    # is to know.
    examples: ClassVar[str]
    notes: ClassVar[str] = ""
    bar: Bar | None = None
    # Django's own, which work all the same.
    suppressed_base_arguments = {  # noqa: RUF012 - as Django declares it
        "--version",
        "--settings",
        "--pythonpath",
        "--traceback",
        "--no-color",
        "--force-color",
        "--skip-checks",
    }

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """With examples at the end of the help."""
        lines = [f"  {line}" for line in self.examples.strip().splitlines()]
        epilog = "\n".join(["examples:", *lines])
        if self.notes:
            epilog += f"\n\n{self.notes.strip()}"
        kwargs |= {"epilog": epilog, "formatter_class": _HelpFormatter}
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.description = fill(" ".join(self.help.split()), HELP_WIDTH)
        return parser

    def execute(self, *args: Any, **options: Any) -> Any:
        """Says after Ctrl-C what is done so far."""
        # The pool would tell of each attempt to connect, beside the one line that says it all.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        try:
            return super().execute(*args, **options)
        except KeyboardInterrupt:
            self.stderr.write(f"Interrupted. {self.so_far()}")
            raise

    def so_far(self) -> str:
        """What is done where the command is interrupted, and how to go on."""
        return "Nothing was changed."

    @property
    def done(self) -> int:
        """What the bar has counted."""
        return self.bar.done if self.bar is not None else 0

    def progress(
        self, options: dict[str, Any], rows: Iterable[Any] | None = None, **about: Any
    ) -> Bar:
        """A bar on a terminal, none elsewhere or with --verbosity 0; `about` is as tqdm's."""
        self.bar = Bar(rows, disable=None if options["verbosity"] else True, **about)
        return self.bar
