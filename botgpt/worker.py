"""The web worker: gunicorn's own for ASGI, which lets answers under way end before it does."""

import asyncio

from gunicorn.workers.gasgi import ASGIWorker

# Of gunicorn's grace so much is kept for saving the answers that did not end in time.
SAVING_SECONDS = 3


class Worker(ASGIWorker):  # type: ignore[misc]
    """Told to stop, it takes no more requests and gives its answers most of the grace."""

    def handle_exit_signal(self) -> None:
        """SIGTERM."""
        from conversations import live  # gunicorn loads its worker before the application

        super().handle_exit_signal()
        grace = max(1, self.cfg.graceful_timeout - SAVING_SECONDS)
        # Kept on the worker: the loop holds its tasks but weakly.
        self.finishing = asyncio.ensure_future(live.answers().finish(grace), loop=self.loop)
