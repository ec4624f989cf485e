"""A server that is told to stop ends what it has accepted; with real processes and sockets."""

import asyncio
from collections import Counter

import pytest

from tests.launch import restarts
from tests.launch.restarts import REFUSED, ask, fresh_session

QUESTIONS = 60


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Two servers over a model whose answers take a good second."""
    with (
        restarts.scripted_model(tokens=12, rate=10) as model,
        restarts.servers(tmp_path_factory.mktemp("stops"), model, 2) as both,
    ):
        yield both


async def stopped_while_asked(server, after):
    """What became of questions that all came so many seconds before SIGTERM."""
    async with fresh_session() as session:
        asking = [
            asyncio.create_task(ask(session, server.url, stream=bool(n % 2)))
            for n in range(QUESTIONS)
        ]
        await asyncio.sleep(after)
        stopped = asyncio.create_task(asyncio.to_thread(server.stop))
        await asyncio.sleep(0.3)
        late = await ask(session, server.url, stream=False)
        outcomes = Counter(await asyncio.gather(*asking))
        await stopped
    return outcomes, late


@pytest.mark.parametrize("after", [0.02, 0.1])
def test_what_was_accepted_before_sigterm_is_answered_and_nothing_after(two, after):
    server = two[0]
    before = restarts.stored(server)

    outcomes, late = asyncio.run(stopped_while_asked(server, after))

    server.start()
    assert outcomes.keys() <= {"completed", REFUSED}
    assert outcomes["completed"] > 0
    assert late == REFUSED
    after_it = restarts.stored(server)
    assert after_it - before == Counter(completed=outcomes["completed"])


def test_rolling_restarts_break_no_answer(two):
    outcomes = asyncio.run(restarts.restarted(two, streams=40, answers=120, restarts=2))

    assert outcomes == {"completed": 120}
    assert restarts.stored(two[0]).keys() == {"completed"}
