"""`python -m bench.memory`: resident memory and time to ready of a server that holds one scikit-learn model."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

from bench.arguments import count, guarded, list_of
from bench.load import LoadFailed, drive
from bench.making import sample
from bench.models import MODELS
from bench.plan import KSERVE, POLYSERVE
from bench.process import Memory
from bench.report import Footprint, memory_table
from bench.requests import Protocol, request
from bench.systems import SYSTEMS, running

SETTLE_SECONDS = 3  #: for helpers of the start to end, and for freed memory to go back
CONNECTIONS = 64


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status: 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--model", choices=list(MODELS), default="logistic", help="default logistic")
    parser.add_argument("--starts", type=count, default=3, help="of each system, alone; default 3")
    parser.add_argument("--seconds", type=count, default=5, help="of load; default 5")
    with_models = [name for name, system in SYSTEMS.items() if not system.path]
    parser.add_argument("--systems", type=list_of(str, with_models), default=[POLYSERVE, KSERVE])
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options.systems, options.model, options.starts, options.seconds))


def _run(names: Sequence[str], model: str, starts: int, seconds: int) -> int:
    found: dict[str, list[Footprint]] = {name: [] for name in names}
    for _ in range(starts):
        for name in names:
            found[name].append(_footprint(name, model, seconds))
    print(f"Resident memory in MiB of a server with the model {model}: the process that was started, and that with all")
    print(f"its children; after {seconds} s of load on {CONNECTIONS} connections. Medians of {starts} starts.\n")
    print(memory_table({name: _median(each) for name, each in found.items()}))
    return 0


def _footprint(name: str, model: str, seconds: int) -> Footprint:
    protocol = next(each for each in Protocol if SYSTEMS[name].serves(model, each))
    asked = request(protocol, model, sample(model, 1).inputs)
    with running([SYSTEMS[name]], [model]) as alive:
        system = alive[name]
        time.sleep(SETTLE_SECONDS)
        ready = system.memory()
        if errors := drive(asked, system.http_port, CONNECTIONS, seconds).errors:
            raise LoadFailed(f"{errors} requests to {name} failed")
        time.sleep(SETTLE_SECONDS)
        return Footprint(ready, system.memory(), system.seconds_to_ready)


def _median(each: Sequence[Footprint]) -> Footprint:
    return Footprint(
        _median_memory([one.ready for one in each]),
        _median_memory([one.after for one in each]),
        statistics.median(one.seconds_to_ready for one in each),
    )


def _median_memory(each: Sequence[Memory]) -> Memory:
    return Memory(statistics.median(one.main for one in each), statistics.median(one.tree for one in each))


if __name__ == "__main__":
    sys.exit(main())
