"""`python -m bench.neighbours`: what does a flooded model do to the latency of another?

Three things in turn, round after round: the neighbour alone; the neighbour while the flood goes to the same model in
another server; and the neighbour while the flood goes to its own. What a flood costs is partly the cores that it and
its load generator take, whoever answers it: in the second line nothing else is shared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.arguments import count, guarded, list_of, say
from bench.load import Figures, LoadFailed, drive
from bench.making import sample
from bench.models import MODELS
from bench.plan import KSERVE, POLYSERVE
from bench.probing import flooded
from bench.process import Running
from bench.report import number, table
from bench.requests import Protocol, request
from bench.systems import SYSTEMS, running

TARGET = 2  #: times the idle p99, at most
IDLE = "none"


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
    parser.add_argument("--isolated", action="store_true", help="PolyServe runs the flood in a process of its own")
    parser.add_argument("--seconds", type=count, default=2, help="of one measurement; default 2")
    parser.add_argument("--rounds", type=count, default=5, help="default 5; figures are their medians")
    parser.add_argument("--systems", type=list_of(str, [POLYSERVE, KSERVE]), default=[POLYSERVE, KSERVE])
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    lines = []
    models = [options.flooded, options.neighbour]
    systems = [SYSTEMS[name] for name in options.systems]
    others = [replace(system, name=f"another {system.name}") for system in systems]
    isolated = [options.flooded] if options.isolated else []
    with running([*systems, *others], models, isolated) as alive:
        for name in options.systems:
            for rows in options.rows:
                found = _alternating(alive[name], alive[f"another {name}"], rows, options)
                lines += [(name, load, *_figures(rounds, found)) for load, rounds in found.items()]
                say(f"{name} is measured with {rows} rows")
    print(f"Latency in ms of {options.neighbour} on {options.connections} connections while {options.callers} callers")
    print(f"flood {options.flooded}, medians of {options.rounds} rounds in turn; each ratio may be {TARGET} at most")
    print("where there are cores for all; nan: nothing was answered in time.\n")
    print(table(("system", "flood", "p50", "p99", "p99 ÷ idle p99", "÷ flooded elsewhere"), lines))
    return 0


def _figures(rounds: Rounds, found: dict[str, Rounds]) -> tuple[str, ...]:
    idle, elsewhere, _ = found.values()
    return number(rounds.p50), number(rounds.p99), *(number(rounds.p99 / beside.p99) for beside in (idle, elsewhere))


def _alternating(system: Running, other: Running, rows: int, options: argparse.Namespace) -> dict[str, Rounds]:
    asked = request(Protocol.V1, options.flooded, sample(options.flooded, rows).inputs)
    flood = f"{rows:,} row{'s' if rows > 1 else ''} a request"
    places = {f"{flood}, at another server": other, flood: system}
    found = {IDLE: Rounds(), **{place: Rounds() for place in places}}
    for each in (system, other):
        drive(asked, each.http_port, options.callers, 1)  # warms the model up
    for _ in range(options.rounds):
        found[IDLE].figures.append(_neighbour(system, options))
        for place, server in places.items():
            with flooded(asked, server.http_port, options.callers, options.seconds + 2):
                found[place].figures.append(_neighbour(system, options))
    return found


def _neighbour(system: Running, options: argparse.Namespace) -> Figures:
    asked = request(Protocol.V1, options.neighbour, sample(options.neighbour, 1).inputs)
    figures = drive(asked, system.http_port, options.connections, options.seconds)
    if figures.errors:
        raise LoadFailed(f"{figures.errors} of {figures.requests} requests to {options.neighbour} failed")
    return figures


if __name__ == "__main__":
    sys.exit(main())
