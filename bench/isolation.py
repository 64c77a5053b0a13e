"""`python -m bench.isolation`: what does a model's own process cost, a single call and a busy server?"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from adapters.base import Adapter
from bench import making, places
from bench.arguments import count, guarded, list_of, say
from bench.check import ask, check
from bench.load import drive
from bench.models import MODELS
from bench.plan import POLYSERVE
from bench.process import Running
from bench.report import number, table
from bench.requests import Protocol, request
from bench.systems import SYSTEMS, start

#: 32 rows of it are 1 KiB
MODEL, ROW_BYTES = "logistic", 32
SIZES = {"1 KiB": 2**10, "64 KiB": 2**16, "1 MiB": 2**20}
BUSY = ("logistic", "forest", "lightgbm", "onnx", "spacy")
CONNECTIONS = 64
WARM_UP = 50  #: calls
#: what a call in a worker may take longer at its median, in ms, and what share of the throughput must be left
MOST_OVERHEAD, LEAST_SHARE = 0.3, 0.8


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables; the exit status: 1 if a worker costs more than promised, 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.isolation", description=__doc__)
    parser.add_argument("--calls", type=count, default=1000, help="of each size, here and there in turn; default 1000")
    parser.add_argument("--only", type=list_of(str, list(MODELS)), default=list(BUSY), metavar="MODELS")
    parser.add_argument("--seconds", type=count, default=3, help="of one measurement; default 3")
    parser.add_argument("--rounds", type=count, default=3, help="default 3; figures are their medians")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    making.ensure([MODEL, *options.only])
    kept = _calls(options.calls)
    return 0 if _throughput(options.only, options.seconds, options.rounds) and kept else 1


# --- single calls -----------------------------------------------------------------------------------------------------


def _calls(calls: int) -> bool:
    """Print what a call takes; whether the small one keeps the promise."""
    lines, kept = [], True
    for size, here, there in _medians(calls):
        lines.append((size, f"{here:.3f}", f"{there:.3f}", f"{there - here:.3f}"))
        kept = kept and (size != "1 KiB" or there - here <= MOST_OVERHEAD)
    print(
        f"p50 in ms of a call of `{MODEL}` ({calls:,} each, in turn); at 1 KiB a worker may add {MOST_OVERHEAD} ms.\n"
    )
    print(table(("inputs", "in process", "in a worker", "overhead"), lines))
    return kept


def _medians(calls: int) -> Iterator[tuple[str, float, float]]:
    with _loaded("auto") as here, _loaded("process") as there:
        sample = making.sample(MODEL, making.ROWS[-1]).inputs
        (spec,) = here.signature.inputs
        for size, total in SIZES.items():
            rows = total // ROW_BYTES
            inputs = {spec.name: sample[[row % len(sample) for row in range(rows)]]}
            times: dict[Adapter, list[float]] = {here: [], there: []}
            for _ in range(calls + WARM_UP):
                for adapter, found in times.items():
                    found.append(_timed(partial(adapter.predict, inputs, {})))
            yield size, _median_ms(times[here]), _median_ms(times[there])


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _median_ms(seconds: Sequence[float]) -> float:
    return 1000 * statistics.median(seconds[WARM_UP:])


@contextlib.contextmanager
def _loaded(isolation: str) -> Iterator[Adapter]:
    """The model, loaded as the server loads it."""
    from server.loading.catalog import scan
    from server.loading.loader import Loader
    from server.workers.placement import WorkerPlacement

    may_import = threading.Event()
    may_import.set()
    workers = WorkerPlacement("process" if isolation == "process" else "auto")
    (found,) = scan(places.MODELS / MODEL, MODEL).found
    try:
        yield Loader(None, may_import, workers=workers).load(found).adapter
    finally:
        workers.kill()


# --- a busy server ----------------------------------------------------------------------------------------------------


def _throughput(names: Sequence[str], seconds: int, rounds: int) -> bool:
    """Print what one server answers in a second, each model in process and in a worker; whether enough is left."""
    lines, kept = [], True
    _stage(names)
    with start(SYSTEMS[POLYSERVE], []) as server:
        server.wait_ready(SYSTEMS[POLYSERVE].ready, time.monotonic())
        for name in names:
            here, there = _alternating(server, name, seconds, rounds)
            share = statistics.median(mine / other for mine, other in zip(there, here, strict=True))
            lines.append((name, number(statistics.median(here)), number(statistics.median(there)), f"{share:.2f}"))
            kept = kept and share >= LEAST_SHARE
            say(f"{name}: {share:.2f}")
    print(
        f"\nRequests a second of 1 row at {CONNECTIONS} connections (V1); {LEAST_SHARE} should be left in a worker.\n"
    )
    print(table(("model", "in process", "in a worker", "share (median of the rounds)"), lines))
    return kept


def _alternating(server: Running, name: str, seconds: int, rounds: int) -> tuple[list[float], list[float]]:
    expected = making.sample(name, 1)
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for kind, figures in zip(("none", "process"), found, strict=True):
            asked = request(Protocol.V1, f"{name}-{kind}", expected.inputs)
            check(Protocol.V1, ask(asked, server.http_port, server.grpc_port), expected)
            drive(asked, server.http_port, CONNECTIONS, 1)
            figures.append(drive(asked, server.http_port, CONNECTIONS, seconds).throughput)
    return found


def _stage(names: Sequence[str]) -> None:
    """Each model twice."""
    shutil.rmtree(places.RUN, ignore_errors=True)
    for name in names:
        for kind in ("none", "process"):
            folder = Path(shutil.copytree(places.MODELS / name, places.RUN / "models" / f"{name}-{kind}"))
            (folder / "polyserve.yaml").write_text(f"isolation: {kind}\n")


if __name__ == "__main__":
    sys.exit(main())
