"""How the work of a function grows with its input."""

import gc
import time
from collections.abc import Callable

# Of four times the input linear work takes four times as much, quadratic work sixteen times.
LINEAR, BETWEEN = 4, 9
ATTEMPTS, REPEATS = 4, 2


def grows_linearly(function: Callable[[str], object], piece: str, chars: int) -> bool:
    """Whether four times the input takes about four times the work, and twice the input twice.

    Much of the work is done in C, where Python counts no steps, so it is counted in this thread's
    processor time; the ratio holds on any machine. Other processes can only make it look
    worse, so one good measurement of several is enough.
    """
    return any(_ratio(function, piece, chars) < BETWEEN for _ in range(ATTEMPTS))


def _ratio(function: Callable[[str], object], piece: str, chars: int) -> float:
    once, twice, four_times = (_work(function, _repeated(piece, chars * n)) for n in (1, 2, 4))
    return max(four_times / once, (twice / once) ** 2)


def _repeated(piece: str, chars: int) -> str:
    return (piece * (chars // len(piece) + 1))[:chars] + "!"


def _work(function: Callable[[str], object], text: str) -> float:
    gc.disable()
    try:
        return min(_once(function, text) for _ in range(REPEATS))
    finally:
        gc.enable()


def _once(function: Callable[[str], object], text: str) -> float:
    started = time.thread_time()
    function(text)
    return time.thread_time() - started
