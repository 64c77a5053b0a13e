"""`python -m bench.neighbours`: what does a flooded model do to the latency of another?

Three things in turn, round after round: the neighbour alone; the neighbour while a process beside the server burns as
much processor time as the flood's load generator; and the neighbour while the flood runs. What the flood costs on a
small machine is partly the cores that its generator takes: the second line shows that part.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.arguments import count, guarded, list_of, say
from bench.load import Figures, LoadFailed, drive
from bench.making import sample
from bench.models import MODELS
from bench.plan import KSERVE, POLYSERVE
from bench.probing import flooded
from bench.process import Running
from bench.report import number, table
from bench.requests import Protocol, Request, request
from bench.systems import SYSTEMS, running

TARGET = 2  #: times the idle p99, at most
IDLE, BURNER = "none", "none, but cores as busy"
#: works for a share of every two milliseconds
_BURN = """
import sys, time
share = float(sys.argv[1])
while True:
    began = time.perf_counter()
    while time.perf_counter() < began + 0.002 * share:
        pass
    time.sleep(0.002 * (1 - share))
"""


@dataclass
class Rounds:
    """The neighbour's figures beside one kind of load."""

    figures: list[Figures] = field(default_factory=list)

    @property
    def p50(self) -> float:
        return statistics.median(each.p50 for each in self.figures)

    @property
    def p99(self) -> float:
        return statistics.median(each.p99 for each in self.figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status: 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.neighbours", description=__doc__)
    parser.add_argument("--flooded", choices=list(MODELS), default="forest", help="default forest")
    parser.add_argument("--neighbour", choices=list(MODELS), default="logistic", help="default logistic")
    parser.add_argument("--callers", type=count, default=64, help="that flood; default 64")
    parser.add_argument("--rows", type=list_of(int), default=[1, 32], help="of each request of the flood; default 1,32")
    parser.add_argument("--connections", type=count, default=1, help="to the neighbour; default 1")
    parser.add_argument("--seconds", type=count, default=2, help="of one measurement; default 2")
    parser.add_argument("--rounds", type=count, default=5, help="default 5; figures are their medians")
    parser.add_argument("--systems", type=list_of(str, [POLYSERVE, KSERVE]), default=[POLYSERVE, KSERVE])
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    lines = []
    with running([SYSTEMS[name] for name in options.systems], [options.flooded, options.neighbour]) as alive:
        for name, each in alive.items():
            for rows in options.rows:
                found = _alternating(each, rows, options)
                lines += [(name, load, *_figures(rounds, found)) for load, rounds in found.items()]
                say(f"{name} is measured with {rows} rows")
    print(f"Latency in ms of {options.neighbour} on {options.connections} connections while {options.callers} callers")
    print(
        f"flood {options.flooded}, medians of {options.rounds} rounds in turn; the last column but one may be {TARGET}"
    )
    print("at most; nan: nothing was answered in time.\n")
    print(table(("system", "flood", "p50", "p99", "p99 ÷ idle p99", "÷ busy cores' p99"), lines))
    return 0


def _figures(rounds: Rounds, found: dict[str, Rounds]) -> tuple[str, ...]:
    ratios = (rounds.p99 / found[beside].p99 for beside in (IDLE, BURNER))
    return (number(rounds.p50), number(rounds.p99), *map(number, ratios))


def _alternating(system: Running, rows: int, options: argparse.Namespace) -> dict[str, Rounds]:
    asked = request(Protocol.V1, options.flooded, sample(options.flooded, rows).inputs)
    flood = f"{rows:,} row{'s' if rows > 1 else ''} a request"
    found = {IDLE: Rounds(), BURNER: Rounds(), flood: Rounds()}
    share = _share(asked, system.http_port, options.callers)
    for _ in range(options.rounds):
        found[IDLE].figures.append(_neighbour(system, options))
        with _burning(share):
            found[BURNER].figures.append(_neighbour(system, options))
        with flooded(asked, system.http_port, options.callers, options.seconds + 2):
            found[flood].figures.append(_neighbour(system, options))
    return found


def _share(flood: Request, port: int, callers: int) -> float:
    """Of a core, that the flood's load generator takes; it also warms the model up."""
    before = os.times()
    figures = drive(flood, port, callers, 1)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return min(used / figures.seconds, 0.95)


@contextlib.contextmanager
def _burning(share: float) -> Iterator[None]:
    """A process beside the block that takes so much of a core."""
    process = subprocess.Popen([sys.executable, "-c", _BURN, str(share)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _neighbour(system: Running, options: argparse.Namespace) -> Figures:
    asked = request(Protocol.V1, options.neighbour, sample(options.neighbour, 1).inputs)
    figures = drive(asked, system.http_port, options.connections, options.seconds)
    if figures.errors:
        raise LoadFailed(f"{figures.errors} of {figures.requests} requests to {options.neighbour} failed")
    return figures


if __name__ == "__main__":
    sys.exit(main())
