"""`python -m bench.sandbox`: what does `--sandbox` cost a model's own process, to start it and to call it?

Both kinds in turn, so that whatever else the machine does meets both; the ratios are what counts.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from adapters.base import Adapter
from bench import making, places
from bench.arguments import count, list_of
from bench.models import MODELS
from bench.report import table
from server.runtime.sandbox.sandbox import NO_SANDBOX, Sandbox

KINDS = {"as it is": NO_SANDBOX, "in a sandbox": Sandbox(confines=True)}
ROWS = (1, 256)
WARM_UP = 50  #: calls


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one table; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.sandbox", description=__doc__)
    parser.add_argument("--calls", type=count, default=1000, help="of each size and kind, in turn; default 1000")
    parser.add_argument("--starts", type=count, default=5, help="of each kind, in turn; default 5")
    parser.add_argument("--only", type=list_of(str, list(MODELS)), default=["logistic", "onnx"], metavar="MODELS")
    options = parser.parse_args(arguments)
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    making.ensure(options.only)
    lines = [line for name in options.only for line in (_starts(name, options.starts), *_calls(name, options.calls))]
    print(table(("model", "what", "as it is, ms", "in a sandbox, ms", "ratio"), lines))
    return 0


def _starts(name: str, times: int) -> tuple[str, ...]:
    """From nothing to a process that has loaded the model."""
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(times):
        for kind, sandbox in KINDS.items():
            began = time.perf_counter()
            with _loaded(name, sandbox):
                found[kind].append(time.perf_counter() - began)
    return _line(name, "start", found)


def _calls(name: str, times: int) -> Iterator[tuple[str, ...]]:
    with contextlib.ExitStack() as stack:
        adapters = {kind: stack.enter_context(_loaded(name, sandbox)) for kind, sandbox in KINDS.items()}
        for rows in ROWS:
            sample = making.sample(name, making.ROWS[-1]).inputs
            found: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for _ in range(times + WARM_UP):
                for kind, adapter in adapters.items():
                    (spec,) = adapter.signature.inputs
                    inputs = {spec.name: sample[[row % len(sample) for row in range(rows)]]}
                    found[kind].append(_timed(partial(adapter.predict, inputs, {})))
            yield _line(name, f"call, {rows} rows", {kind: seconds[WARM_UP:] for kind, seconds in found.items()})


def _line(name: str, what: str, found: dict[str, list[float]]) -> tuple[str, ...]:
    plain, confined = (1000 * statistics.median(seconds) for seconds in found.values())
    return (name, what, f"{plain:.3f}", f"{confined:.3f}", f"{confined / plain:.2f}")


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@contextlib.contextmanager
def _loaded(name: str, sandbox: Sandbox) -> Iterator[Adapter]:
    """The model in a process of its own, as the server loads it."""
    from server.loading.catalog import scan
    from server.loading.loader import Loader
    from server.workers.placement import WorkerPlacement

    may_import = threading.Event()
    may_import.set()
    workers = WorkerPlacement("process", sandbox=sandbox)
    (found,) = scan(places.MODELS / name, name).found
    try:
        yield Loader(None, may_import, workers=workers).load(found).adapter
    finally:
        workers.kill()
        sandbox.close()


if __name__ == "__main__":
    sys.exit(main())
