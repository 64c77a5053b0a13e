"""`python -m bench.spread`: what does a large request gain when its rows are dealt out to idle cores?"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench import making, places
from bench.arguments import count, guarded, list_of, say
from bench.check import ask, check
from bench.load import Figures, LoadFailed, drive
from bench.plan import POLYSERVE, TABULAR
from bench.process import Running
from bench.report import number, table
from bench.requests import Protocol, request
from bench.systems import SYSTEMS, start

SAMPLE = making.ROWS[-1]
#: how each model is served, and what its polyserve.yaml says: one lane leaves nothing to deal out
KINDS = {"whole": "lanes: 1\n", "dealt out": ""}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status is 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.spread", description=__doc__)
    parser.add_argument("--only", type=list_of(str, list(TABULAR)), default=list(TABULAR), metavar="MODELS")
    parser.add_argument("--rows", type=list_of(int), default=[SAMPLE, 8 * SAMPLE], help="default 1024,8192")
    parser.add_argument("--connections", type=list_of(int), default=[1], help="default 1: more leave no core idle")
    parser.add_argument("--protocols", type=list_of(Protocol, list(Protocol)[:3]), default=[Protocol.V2_BINARY])
    parser.add_argument("--seconds", type=count, default=1, help="of one measurement; default 1")
    parser.add_argument("--rounds", type=count, default=5, help="default 5; figures are their medians")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    making.ensure(options.only)
    _stage(options.only)
    lines = []
    with start(SYSTEMS[POLYSERVE], []) as server:
        server.wait_ready(SYSTEMS[POLYSERVE].ready, time.monotonic())
        for name in options.only:
            for rows in options.rows:
                for protocol in options.protocols:
                    for connections in options.connections:
                        found = _alternating(server, name, rows, protocol, connections, options)
                        lines += _lines(found, name, f"{rows:,}", protocol, str(connections))
            say(f"{name} is measured")
    print("Medians of the rounds; latencies in ms. The last column: throughput ÷ that of whole calls.\n")
    print(table(("model", "rows", "protocol", "callers", "calls", "requests/s", "p50", "p99", "ratio"), lines))
    return 0


def _alternating(
    server: Running, name: str, rows: int, protocol: Protocol, connections: int, options: argparse.Namespace
) -> dict[str, list[Figures]]:
    """Each kind in turn, round after round, after an answer of each was checked and it was warmed up."""
    expected = _sample(name, rows)
    asked = {kind: request(protocol, _served(name, kind), expected.inputs) for kind in KINDS}
    for each in asked.values():
        check(protocol, ask(each, server.http_port, server.grpc_port), expected)
        drive(each, server.http_port, connections, 1)
    found: dict[str, list[Figures]] = {kind: [] for kind in KINDS}
    for _ in range(options.rounds):
        for kind, each in asked.items():
            figures = drive(each, server.http_port, connections, options.seconds)
            if figures.errors:
                raise LoadFailed(f"{figures.errors} of {figures.requests} requests to {name} failed")
            found[kind].append(figures)
    return found


def _lines(found: dict[str, list[Figures]], *what: str) -> list[tuple[str, ...]]:
    lines = []
    for kind, rounds in found.items():
        figures = (number(statistics.median(getattr(each, key) for each in rounds)) for key in _KEYS)
        pairs = zip(rounds, found["whole"], strict=True)
        ratio = statistics.median(mine.throughput / whole.throughput for mine, whole in pairs)
        lines.append((*what, kind, *figures, f"{ratio:.2f}"))
    return lines


_KEYS = ("throughput", "p50", "p99")


def _sample(name: str, rows: int) -> making.Sample:
    """The largest sample, over and over."""
    found = making.sample(name, SAMPLE)
    at = np.arange(rows) % SAMPLE
    return replace(found, inputs=found.inputs[at], predictions=[found.predictions[row] for row in at])


def _served(name: str, kind: str) -> str:
    return f"{name}-{kind.replace(' ', '-')}"


def _stage(names: Sequence[str]) -> None:
    """Each model twice."""
    shutil.rmtree(places.RUN, ignore_errors=True)
    for name in names:
        for kind, settings in KINDS.items():
            folder = Path(shutil.copytree(places.MODELS / name, places.RUN / "models" / _served(name, kind)))
            (folder / "polyserve.yaml").write_text(settings)


if __name__ == "__main__":
    sys.exit(main())
