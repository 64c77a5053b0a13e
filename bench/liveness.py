"""`python -m bench.liveness`: do the small endpoints answer while a heavy model is flooded?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from bench.arguments import count, guarded, list_of
from bench.making import sample
from bench.plan import KSERVE, POLYSERVE
from bench.probing import Latencies, flooded, probe
from bench.process import Running
from bench.report import number, table
from bench.requests import Protocol, request
from bench.systems import SYSTEMS, running

MODEL = "forest"
PATHS = ("/v2/health/live", "/v2/health/ready", "/metrics")
ROWS = (1, 1024)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status: 1 if a probe was refused, 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.liveness", description=__doc__)
    parser.add_argument("--callers", type=count, default=8, help="that flood the forest; default 8")
    parser.add_argument("--seconds", type=count, default=5, help="of one measurement; default 5")
    parser.add_argument("--systems", type=list_of(str, [POLYSERVE, KSERVE]), default=[POLYSERVE, KSERVE])
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options.systems, options.callers, options.seconds))


def _run(names: Sequence[str], callers: int, seconds: int) -> int:
    lines, failures = [], 0
    with running([SYSTEMS[name] for name in names], [MODEL]) as alive:
        for name, each in alive.items():
            for load, found in _measured(each, callers, seconds):
                lines.append((name, load, found.path, number(found.percentile(50)), number(found.percentile(99))))
                failures += found.failures
    print(f"Latency in ms while {callers} callers flood a forest of 200 trees.\n")
    print(table(("system", "each request", "endpoint", "p50", "p99"), lines))
    if failures:
        print(f"{failures} probes failed")
    return 1 if failures else 0


def _measured(system: Running, callers: int, seconds: int) -> Iterator[tuple[str, Latencies]]:
    for found in probe(system.http_port, PATHS, seconds):
        yield "none", found
    for rows in ROWS:
        asked = request(Protocol.V1, MODEL, sample(MODEL, rows).inputs)
        with flooded(asked, system.http_port, callers, seconds + 3):
            latencies = probe(system.http_port, PATHS, seconds)
        for found in latencies:
            yield f"{rows:,} row{'s' if rows > 1 else ''}", found


if __name__ == "__main__":
    sys.exit(main())
