"""`manage.py procrastinate`: the queue's own command."""

import logging
from contextlib import nullcontext, redirect_stderr
from typing import Any

from django.conf import settings
from procrastinate.contrib.django.management.commands import procrastinate

from botgpt.api import logs
from documents import listening


class Command(procrastinate.Command):
    """Where the log is JSON, what a worker prints becomes lines of it."""

    def handle(self, *args: Any, **options: Any) -> None:
        """As the queue's own."""
        is_worker = options.get("command") == "worker"
        if is_worker:
            listening.wait_for_database()
        is_log = settings.LOG_FORMAT == "json" and is_worker
        printed = logs.Lines(logging.getLogger("botgpt.worker"))
        with redirect_stderr(printed) if is_log else nullcontext():
            super().handle(*args, **options)
