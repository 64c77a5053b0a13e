"""`python -m bench.memory`: resident memory and time to ready of servers, each alone, with one model or more."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

from bench.arguments import count, guarded, list_of, say
from bench.load import LoadFailed, drive
from bench.making import sample
from bench.models import MODELS
from bench.plan import KSERVE, POLYSERVE
from bench.process import Memory, NotStarted
from bench.report import Footprint, memory_table
from bench.requests import Protocol, request
from bench.systems import SYSTEMS, System, running

SETTLE_SECONDS = 3  #: for helpers of the start to end, and for freed memory to go back
CONNECTIONS = 64


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status: 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--models", type=list_of(str, list(MODELS)), default=["logistic"], help="default logistic")
    parser.add_argument("--starts", type=count, default=3, help="of each system, alone; default 3")
    parser.add_argument("--seconds", type=count, default=5, help="of load on each model; default 5")
    with_models = [name for name, system in SYSTEMS.items() if not system.path]
    parser.add_argument("--systems", type=list_of(str, with_models), default=[POLYSERVE, KSERVE])
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options.systems, options.models, options.starts, options.seconds))


def _run(names: Sequence[str], models: Sequence[str], starts: int, seconds: int) -> int:
    found = [measure(names, models, seconds) for _ in range(starts)]
    print(f"Resident memory in MiB of a server with {', '.join(models)}: the process that was started, and that with")
    print(f"all its children; after {seconds} s of load on {CONNECTIONS} connections to each model that it serves.")
    print(f"Medians of {starts} starts.\n")
    measured = [name for name in names if all(name in each for each in found)]
    print(memory_table({name: _median([each[name] for each in found]) for name in measured}))
    return 0 if measured == list(names) else 2


def measure(names: Sequence[str], models: Sequence[str], seconds: int) -> dict[str, Footprint]:
    """Start each system alone with those of the models that it has a runtime for, and load each of them for `seconds`.

    Those that only echo have no models, and are not asked. One that fails is left out, with a word: what a long run
    has found of the others, and before, is worth keeping.

    Raises:
        subprocess.CalledProcessError
    """
    found = {}
    for name in names:
        if SYSTEMS[name].path:
            continue
        try:
            found[name] = _footprint(SYSTEMS[name], models, seconds)
        except (NotStarted, LoadFailed) as error:
            say(f"the memory of {name} was not measured: {error}")
    return found


def _footprint(system: System, models: Sequence[str], seconds: int) -> Footprint:
    protocol = next(each for each in Protocol if each in system.protocols)
    with running([system], models) as alive:
        up = alive[system.name]
        time.sleep(SETTLE_SECONDS)
        ready = up.memory()
        for model in (each for each in models if system.serves(each, protocol)):
            asked = request(protocol, model, sample(model, 1).inputs)
            if errors := drive(asked, up.http_port, CONNECTIONS, seconds).errors:
                raise LoadFailed(f"{errors} requests to {system.name} for {model} failed")
        time.sleep(SETTLE_SECONDS)
        return Footprint(ready, up.memory(), up.seconds_to_ready)


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
