"""The web worker: gunicorn's own for ASGI, with two things that it leaves to us; and its log."""

import asyncio
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.workers.gasgi import ASGIWorker

from botgpt.api.logs import chosen


class Log(Logger):  # type: ignore[misc]
    """gunicorn's, in lines like ours: what an error says stays out of it."""

    def setup(self, cfg: Any) -> None:
        """Also called when gunicorn reloads."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(chosen())


class Worker(ASGIWorker):  # type: ignore[misc]
    """Takes all that knock at once; told to stop, it gives its answers most of the grace."""

    listening = False

    def notify(self) -> None:
        """gunicorn's sign of life, the first right after the event loop has begun to listen.

        Loops listen with a backlog of 100, whatever gunicorn had set. The system drops what is
        beyond, and the client tries again after 1, 3, 7 seconds and so on.
        """
        super().notify()
        if not self.listening and self.servers:
            self.listening = True
            for listener in self.sockets:
                listener.sock.listen(self.cfg.backlog)

    def handle_exit_signal(self) -> None:
        """SIGTERM."""
        from conversations import live  # gunicorn loads its worker before the application

        super().handle_exit_signal()
        grace = max(1, self.cfg.graceful_timeout - live.SAVING_SECONDS)
        # Kept on the worker: the loop holds its tasks but weakly.
        self.finishing = asyncio.ensure_future(live.answers().finish(grace), loop=self.loop)
