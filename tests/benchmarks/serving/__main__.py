"""Measures the product beside its peers over one scripted model, and prints a table.

    make bench-serving [SERVING="--streams 100,1000 --quick"]

or, with a database at hand: `python -m tests.benchmarks.serving --only product --quick`.
The bare model comes first, in the same run; each service then runs alone.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from django.conf import settings

from tests.benchmarks.serving import databases, peers, processes, product, report, scenarios
from tests.benchmarks.serving.dialects import OPENAI
from tests.benchmarks.serving.load import Result
from tests.benchmarks.serving.machine import allow_open_files, free_port
from tests.benchmarks.serving.processes import Service
from tests.benchmarks.serving.scenarios import Outcome, Scenario

Start = Callable[[str, Path], AbstractContextManager[Service]]
SERVICES: dict[str, Start] = {
    "product": product.running,
    "fastapi": peers.fastapi,
    "litellm": peers.litellm,
}
SIZES = "1,100,500,1000,2000"
OPEN = 2000
CLIENTS = 64
REST_SECONDS = 1.0  # for a service to let go of the run before


def main(options: argparse.Namespace) -> None:
    """Run everything, one service at a time."""
    starts = [SERVICES[name] for name in options.only.split(",")]
    allow_open_files()
    folder = Path(settings.DATA_DIR) / "serving"
    folder.mkdir(parents=True, exist_ok=True)
    sizes = [int(size) for size in options.streams.split(",")]
    # The open ones come first: only a fresh process tells what its streams need.
    wanted = [scenarios.held(options.open), *map(scenarios.paced, sizes)]
    wanted.append(scenarios.unpaced(CLIENTS, 5 if options.quick else 10))
    repeats = 1 if options.quick else options.repeats
    port = free_port()
    model, log = f"http://127.0.0.1:{port}", folder / "model.log"
    command = [sys.executable, "-m", "tests.benchmarks.serving.upstream", "--port", str(port)]
    with processes.running(command, {}, log) as pid:
        processes.wait_for(f"{model}/script", pid, log)
        print(report.HEAD, flush=True)
        itself, bare = Service("bare model", model, OPENAI, pid), dict[str, Result]()
        for scenario in wanted:
            outcome = scenarios.middle(_runs(scenario, itself, model, repeats))
            bare[scenario.name] = outcome.result
            print(report.row(scenario.name, itself.name, outcome, outcome.result), flush=True)
        for start in starts:
            with start(model, folder) as service:
                print(_measured(service, wanted, model, repeats, bare), flush=True)


def _measured(
    service: Service,
    wanted: Sequence[Scenario],
    model: str,
    repeats: int,
    bare: Mapping[str, Result],
) -> str:
    """Print a row for each scenario; what was stored in all, in a line."""
    answers = scenarios.run(scenarios.WARM_UP, service, model).result.answers
    for scenario in wanted:
        runs = _runs(scenario, service, model, repeats)
        answers += sum(run.result.answers for run in runs)
        middle = scenarios.middle(runs)
        print(report.row(scenario.name, service.name, middle, bare[scenario.name]), flush=True)
    if not service.stored:
        return ""
    stored = databases.count(service.database, service.stored)
    return f"{service.name}: {answers:,} whole answers came, {stored:,} are stored"


def _runs(scenario: Scenario, service: Service, model: str, repeats: int) -> list[Outcome]:
    runs = []
    for _ in range(repeats):
        runs.append(scenarios.run(scenario, service, model))
        time.sleep(REST_SECONDS)
    return runs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="tests.benchmarks.serving")
    parser.add_argument("--streams", default=SIZES, help=f"how many at once (default: {SIZES})")
    parser.add_argument("--only", default=",".join(SERVICES), help="services, comma-separated")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; medians are shown")
    parser.add_argument("--open", type=int, default=OPEN, help="slow streams held open at once")
    parser.add_argument("--quick", action="store_true", help="one run of each")
    main(parser.parse_args())
