"""`python -m bench.neighbours`: what a flooded model does to the latency of another."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from bench.arguments import count, guarded, list_of
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status: 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.neighbours", description=__doc__)
    parser.add_argument("--flooded", choices=list(MODELS), default="forest", help="default forest")
    parser.add_argument("--neighbour", choices=list(MODELS), default="logistic", help="default logistic")
    parser.add_argument("--callers", type=count, default=64, help="that flood; default 64")
    parser.add_argument("--rows", type=list_of(int), default=[1, 32], help="of each request of the flood; default 1,32")
    parser.add_argument("--connections", type=count, default=1, help="to the neighbour; default 1")
    parser.add_argument("--seconds", type=count, default=5, help="of one measurement; default 5")
    parser.add_argument("--systems", type=list_of(str, [POLYSERVE, KSERVE]), default=[POLYSERVE, KSERVE])
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    lines = []
    with running([SYSTEMS[name] for name in options.systems], [options.flooded, options.neighbour]) as alive:
        for name, each in alive.items():
            idle = _neighbour(each, options)
            lines.append((name, "none", number(idle.p50), number(idle.p99), "-"))
            for load, busy in _busy(each, options):
                lines.append((name, load, number(busy.p50), number(busy.p99), number(busy.p99 / idle.p99)))
    print(f"Latency in ms of {options.neighbour} on {options.connections} connections while {options.callers} callers")
    print(f"flood {options.flooded}; the last column may be {TARGET} at most; nan: nothing was answered in time.\n")
    print(table(("system", "each request of the flood", "p50", "p99", "p99 ÷ idle p99"), lines))
    return 0


def _busy(system: Running, options: argparse.Namespace) -> Iterator[tuple[str, Figures]]:
    for rows in options.rows:
        asked = request(Protocol.V1, options.flooded, sample(options.flooded, rows).inputs)
        with flooded(asked, system.http_port, options.callers, options.seconds + 4):
            figures = _neighbour(system, options)
        yield f"{rows:,} row{'s' if rows > 1 else ''}", figures


def _neighbour(system: Running, options: argparse.Namespace) -> Figures:
    asked = request(Protocol.V1, options.neighbour, sample(options.neighbour, 1).inputs)
    figures = drive(asked, system.http_port, options.connections, options.seconds)
    if figures.errors:
        raise LoadFailed(f"{figures.errors} of {figures.requests} requests to {options.neighbour} failed")
    return figures


if __name__ == "__main__":
    sys.exit(main())
