"""What the bench needs of the machine: open files, the fast event loop, memory of processes."""

import asyncio
import resource


def allow_open_files() -> None:
    """Raise our limit of open files, and that of what we start, as far as the system lets us."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def event_loop() -> asyncio.AbstractEventLoop:
    """libuv's loop, so that the bench's own processes leave the cores to what is measured."""
    import uvloop  # only what `make bench` installs has it; tests of the bench run without

    return uvloop.new_event_loop()
