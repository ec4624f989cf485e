"""What the services are put through, and one run of it."""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from urllib.parse import urlsplit

from tests.benchmarks.serving.load import Result
from tests.benchmarks.serving.processes import Service
from tests.benchmarks.serving.upstream import Script

SAMPLE_SECONDS = 0.5  # between two looks at the memory


@dataclass(frozen=True, slots=True)
class Scenario:
    """A script for the model and a load: streams started over seconds, or clients for seconds."""

    name: str
    script: Script
    streams: int = 0
    over: float = 2.0
    clients: int = 0
    seconds: float = 0.0
    holds: bool = False  # all streams are open at once, so that their memory can be told

    def arguments(self) -> list[str]:
        """The load generator's."""
        if self.clients:
            return ["--clients", str(self.clients), "--seconds", str(self.seconds)]
        return ["--streams", str(self.streams), "--over", str(self.over)]


WARM_UP = Scenario("warm-up", Script(50, 20), streams=20, over=1)


def held(streams: int) -> Scenario:
    """Slow streams: 40 tokens, two a second, so that all are open for half of the time."""
    return Scenario(f"{streams:,} open", Script(40, 2), streams=streams, over=10, holds=True)


def paced(streams: int) -> Scenario:
    """Streams of 50 tokens, 20 a second, started over two seconds; one at a time, five times."""
    if streams == 1:
        return Scenario("1", Script(50, 20), streams=5, over=15)
    return Scenario(f"{streams:,}", Script(50, 20), streams=streams)


def unpaced(clients: int, seconds: float) -> Scenario:
    """A model that gives its 50 tokens at once, to clients that always want another answer."""
    return Scenario(f"{clients} clients", Script(50, 0), clients=clients, seconds=seconds)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run gave, and took of the service.

    `work` is in milliseconds of a core for each whole answer: unlike times, it changes little when
    something else runs beside. `memory` is in KB a stream, None where it was not looked at.
    """

    result: Result
    work: float
    memory: float | None = None


def run(scenario: Scenario, service: Service, model: str) -> Outcome:
    """Script the model, and put the service through it once."""
    _script(model, scenario.script)
    command = [sys.executable, "-m", "tests.benchmarks.serving.load", service.url]
    command += [service.dialect.name, "--tokens", str(scenario.script.tokens)]
    command += [*scenario.arguments(), "--token", service.token]
    worked, held = service.worked(), service.memory()
    most = held
    with subprocess.Popen(command, stdout=subprocess.PIPE) as load:
        while load.poll() is None:
            time.sleep(SAMPLE_SECONDS)
            if scenario.holds:
                most = max(most, service.memory())
        assert load.stdout is not None
        result = Result(**json.loads(load.stdout.read()))
    work = (service.worked() - worked) * 1000 / max(1, result.answers)
    return Outcome(result, work, (most - held) / scenario.streams if scenario.holds else None)


def middle(outcomes: Sequence[Outcome]) -> Outcome:
    """The median of each number; errors are added up. Memory is the first run's.

    Later runs reuse what the first one made a process hold, and would flatter it.
    """
    results = [outcome.result for outcome in outcomes]
    numbers = {
        name: median(getattr(result, name) for result in results)
        for name in Result.__dataclass_fields__
        if name != "errors"
    }
    errors: dict[str, int] = {}
    for result in results:
        for reason, count in result.errors.items():
            errors[reason] = errors.get(reason, 0) + count
    work = median(outcome.work for outcome in outcomes)
    return Outcome(Result(**numbers, errors=errors), work, outcomes[0].memory)


def _script(model: str, script: Script) -> None:
    client = http.client.HTTPConnection(urlsplit(model).netloc, timeout=10)
    client.request("PUT", "/script", json.dumps(asdict(script)))
    assert client.getresponse().status == 200
    client.close()
