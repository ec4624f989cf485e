"""The web worker: gunicorn's own for ASGI, with some things that it leaves to us; and its log."""

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn.asgi.protocol import ASGIProtocol
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


def _refuse(
    protocol: ASGIProtocol, status: int, message: str, extra_headers: Iterable[tuple[str, str]] = ()
) -> None:
    """Answers what is no request, or too long for one, by a problem detail as all else is."""
    from botgpt.api import problems  # gunicorn loads its worker before the application

    body = problems.problem(status, message, code="bad_request").content
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {problems.CONTENT_TYPE}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in extra_headers),
        "Connection: close",
    ]
    protocol._safe_write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)


# In plain text otherwise, which no setting changes.
ASGIProtocol._send_error_response = _refuse


async def _handle_connection(
    protocol: ASGIProtocol, handle: Any = ASGIProtocol._handle_connection
) -> None:
    """As gunicorn's, known to the worker meanwhile; then its parts let go of each other.

    They would be left to Python's search for dead objects, some kilobytes of each connection.
    """
    protocol.worker.connections.add(protocol)
    try:
        await handle(protocol)
    finally:
        protocol.worker.connections.discard(protocol)
        protocol._callback_parser = None


ASGIProtocol._handle_connection = _handle_connection


# uvloop takes one connection from each listening socket in a turn of its loop. A turn is long where
# many answers are under way, and whoever waits to be taken waits unseen.
TAKEN_AT_ONCE = 4


class Worker(ASGIWorker):  # type: ignore[misc]
    """Takes all that knock at once; told to stop, it gives its answers most of the grace."""

    listening = False
    sockets: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As gunicorn makes it."""
        super().__init__(*args, **kwargs)
        self.connections: set[ASGIProtocol] = set()
        self.entering: list[asyncio.Task[Any]] = []

    def run(self) -> None:
        """Listens to each socket several times."""
        self.sockets = [one for socket in self.sockets for one in self._again(socket)]
        super().run()

    def _again(self, socket: Any) -> list[Any]:
        """The socket and copies of it, each with a number of its own at the system."""
        copies = [os.dup(socket.fileno()) for _ in range(TAKEN_AT_ONCE - 1)]
        return [socket, *(type(socket)(socket.cfg_addr, self.cfg, self.log, fd) for fd in copies)]

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
        """SIGTERM: nobody is let in any more, and whoever has come in is answered."""
        from conversations import live  # gunicorn loads its worker before the application

        super().handle_exit_signal()
        self._let_in_who_waits()
        for server in self.servers:
            server.close()
        # gunicorn would wait for those too that nobody asks anything on.
        for connection in list(self.connections):
            idle = connection._awaiting_request and not connection._request_ready.is_set()
            if idle and connection.req_count > 1:
                connection._keepalive_timeout()
        grace = max(1, self.cfg.graceful_timeout - live.SAVING_SECONDS)
        live.answers().interrupt_after(grace)

    def _let_in_who_waits(self) -> None:
        """Takes the connections that the system has made already, which closing would break."""
        for listener in self.sockets:
            with suppress(BlockingIOError):
                while True:
                    connection, _ = listener.sock.accept()
                    connection.setblocking(False)
                    entering = self.loop.connect_accepted_socket(self._protocol, connection)
                    # Kept on the worker: the loop holds its tasks but weakly.
                    self.entering.append(self.loop.create_task(entering))

    def _protocol(self) -> ASGIProtocol:
        return ASGIProtocol(self)
