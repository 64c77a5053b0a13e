"""`python -m bench.budget`: many models under a memory budget for few; hits, misses, and the memory that it takes."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from bench.arguments import count, guarded, say
from bench.check import TIMEOUT_SECONDS, WrongAnswer
from bench.places import CACHE, LOGS, REPOSITORY
from bench.ports import free_port
from bench.process import MIB, Running, started
from bench.report import number, table

FEATURES = 8
HITS = 5  #: requests to each model after the one that brings it back
LOOK_SECONDS = 0.01
READY = "/v2/health/ready"
_TRIED_AT_ONCE = 2  #: the default of `--load_threads`: so many child processes import a framework


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status: 1 if the memory was above the budget and one model, 2 if a request failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.budget", description=__doc__)
    parser.add_argument("--models", type=count, default=60, help="default 60")
    parser.add_argument("--room", type=count, default=12, help="models that the budget is for; default 12")
    parser.add_argument("--rows", type=count, default=100_000, help="that each model remembers; default 100000")
    parser.add_argument("--rounds", type=count, default=3, help="in which every model is asked; default 3")
    parser.add_argument("--callers", type=count, default=4, help="at the same time; default 4")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    folder = CACHE / f"budget-{options.models}-{options.rows}"
    _make(folder, options.models, options.rows)
    base_folder = CACHE / f"budget-base-{_TRIED_AT_ONCE}"
    _make(base_folder, _TRIED_AT_ONCE, 10)
    with _served(base_folder, "none") as (system, base):
        size = _memory_of_one(folder)
        _ask(system.http_port, 0, [])
        begun, at_rest = base.peak, system.memory().tree
    budget = int(size * (options.room + 0.5))
    with _served(folder, str(budget)) as (system, watched):
        start_peak = watched.peak - begun
        watched.begin_anew()
        misses, hits = _load(system.http_port, options)
        peak = watched.peak - at_rest
    limit, one = budget / MIB, size / MIB
    print(
        f"{options.models} scikit-learn models of {one:.1f} MiB under a budget of {limit:.0f} MiB, for {options.room}:"
    )
    print(f"{options.rounds} rounds of {options.callers} callers through all of them, every answer checked.\n")
    print(table(("requests", "number", "p50 ms", "p99 ms"), [_latency("hit", hits), _latency("miss", misses)]))
    print(
        "\nPeak resident memory in MiB of the server and its children, beyond that of a server with two tiny models:\n"
    )
    lines = [("start", number(start_peak)), ("requests", number(peak))]
    print(
        table(
            ("while", "peak", "budget", "and one model"),
            [(*each, number(limit), number(limit + one)) for each in lines],
        )
    )
    return 1 if max(peak, start_peak) > limit + one else 0


@dataclass(eq=False)
class _Watched:
    """The resident memory of a system and its children, looked at again and again."""

    peak: float = 0.0  #: MiB
    over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _phase: int = 0

    def watch(self, system: Running) -> None:
        while not self.over.wait(LOOK_SECONDS):
            with contextlib.suppress(Exception):  # it has not begun, or has ended
                phase, memory = self._phase, system.memory().tree
                with self._lock:
                    if phase == self._phase:  # else the look began before children had ended that are not to count
                        self.peak = max(self.peak, memory)

    def begin_anew(self) -> None:
        """Whatever was seen before does not count."""
        with self._lock:
            self.peak, self._phase = 0.0, self._phase + 1


@contextlib.contextmanager
def _served(folder: Path, budget: str) -> Iterator[tuple[Running, _Watched]]:
    http_port, grpc_port = free_port(), free_port()
    command = [sys.executable, "-m", "server", f"--model_dir={folder}", f"--http_port={http_port}"]
    command += [f"--grpc_port={grpc_port}", *([] if budget == "none" else [f"--memory_budget={budget}"])]
    begun, watched = time.monotonic(), _Watched()
    with started("polyserve", command, (http_port, grpc_port), LOGS / "budget.log", REPOSITORY, {}) as system:
        watcher = threading.Thread(target=watched.watch, args=[system], daemon=True)
        watcher.start()
        try:
            system.wait_ready(READY, begun)
            say(f"{folder.name}: ready after {system.seconds_to_ready:.1f} s")
            yield system, watched
        finally:
            watched.over.set()
            watcher.join()


def _load(port: int, options: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Seconds of the requests that found their model evicted, and of those that came right after them."""
    misses: list[float] = []
    hits: list[float] = []

    def call(caller: int) -> None:
        for _ in range(options.rounds):
            for model in range(caller, options.models, options.callers):
                _ask(port, model, misses)
                for _ in range(HITS):
                    _ask(port, model, hits)

    with ThreadPoolExecutor(options.callers) as pool:
        for done in [pool.submit(call, caller) for caller in range(options.callers)]:
            done.result()
    return misses, hits


def _ask(port: int, model: int, seconds: list[float]) -> None:
    body = json.dumps({"instances": [[0.5] * FEATURES]})
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)) as connection:
        connection.connect()
        begun = time.perf_counter()
        connection.request("POST", f"/v1/models/m{model}:predict", body)
        response = connection.getresponse()
        answer = response.read()
        seconds.append(time.perf_counter() - begun)
    if response.status != 200 or json.loads(answer) != {"predictions": [float(model)]}:
        raise WrongAnswer(f"m{model} answered {response.status}: {answer[:300]!r}")


def _make(folder: Path, models: int, rows: int) -> None:
    """Models that remember `rows` points and answer their own number."""
    if folder.exists():
        return
    import joblib
    import numpy as np
    from sklearn.neighbors import KNeighborsRegressor

    points = np.random.default_rng(0).random((rows, FEATURES))
    for model in range(models):
        (folder / f"m{model}").mkdir(parents=True)
        fitted = KNeighborsRegressor(1, algorithm="kd_tree").fit(points, np.full(rows, float(model)))
        joblib.dump(fitted, folder / f"m{model}" / "model.joblib")


def _memory_of_one(folder: Path) -> int:
    """Bytes: the arrays that the file holds are what is in memory."""
    return (folder / "m0" / "model.joblib").stat().st_size


def _latency(kind: str, seconds: Sequence[float]) -> tuple[str, str, str, str]:
    cuts = statistics.quantiles(seconds, n=100)
    return kind, str(len(seconds)), number(1000 * cuts[49]), number(1000 * cuts[98])


if __name__ == "__main__":
    sys.exit(main())
