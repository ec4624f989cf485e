"""`manage.py` for pages with many commands: Django is loaded once, and each call is a fork of it.

    python -m tests.docs.commands SOCKET     serves calls until it is stopped
    CALLER                                   stands for `python`, and asks it for `manage.py`

A call whose settings differ from those that were loaded is made as ever.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import django
from django.core.management import (
    call_command,
    execute_from_command_line,
    get_commands,
    load_command_class,
)

SETTINGS = {
    line.partition("=")[0]
    for line in (Path(__file__).parents[2] / ".env.example").read_text().splitlines()
    if line[:1].isupper()
}
UNLIKE = 255
CALLER = """\
#!{python} -IS
import json, os, socket, sys
if sys.argv[1:2] == ["manage.py"]:
    with socket.socket(socket.AF_UNIX) as server:
        server.connect({socket!r})
        call = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
        socket.send_fds(server, [b"."], [0, 1, 2])
        server.sendall(json.dumps(call).encode())
        server.shutdown(socket.SHUT_WR)
        code = server.recv(1)
    if code != bytes([{unlike}]):
        sys.exit(code[0] if code else 1)
os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""


def serve(address: str) -> None:
    """Takes calls side by side."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "botgpt.settings")
    django.setup()
    call_command("check")  # loads what every command would load for its own checks
    for name, app in get_commands().items():
        if isinstance(app, str) and not app.startswith("django."):
            load_command_class(app, name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        while True:
            caller, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(caller)
            caller.close()


def _answer(caller: socket.socket) -> None:
    """Runs one call in this process, whose end this is."""
    _, descriptors, _, _ = socket.recv_fds(caller, 1, 3)
    with caller.makefile("rb") as stream:
        call = json.loads(stream.read())
    code = UNLIKE
    if all(os.environ.get(name) == call["environment"].get(name) for name in SETTINGS):
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        code = _run(call)
    with suppress(OSError):
        caller.sendall(bytes([code]))
    os._exit(0)


def _run(call: dict[str, Any]) -> int:
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.argv = call["arguments"]
    code: Any = 0
    try:
        execute_from_command_line(sys.argv)
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    if isinstance(code, str):
        print(code, file=sys.stderr, flush=True)
    return code if isinstance(code, int) else int(code is not None)


if __name__ == "__main__":
    serve(sys.argv[1])
