"""`python -m bench.workers`: is one process that takes all requests the right choice, and what does `--workers N` gain?

Side by side: one server; the same held to one core (`taskset`), which the load generators use as well: what is a core
more worth; with `--workers=2`, which has a second process with copies of the models; and two whole servers that share
the load, as a balancer in front of them would have it. Each arrangement is driven by the same two load generators at
once, each with half of the connections: to one server both, to two one each. In a mixed load the two ask different
models.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from bench import making, places
from bench.arguments import count, guarded, list_of, say
from bench.check import ask, check
from bench.load import Figures, LoadFailed, drive
from bench.models import MODELS
from bench.ports import free_port
from bench.process import Running, started
from bench.report import number, table
from bench.requests import Protocol, Request, request

#: what each load asks: one model, or two at the same time
LOADS = ("logistic", "forest", "spacy", "bert", "spacy+bert")
RUN = places.CACHE / "workers"


class _Arranged(NamedTuple):
    servers: int
    processes: int  #: the `--workers` of each
    cores: int = 0  #: of each; 0: all that there are


ARRANGEMENTS = {
    "one process": _Arranged(1, 1),
    "on one core": _Arranged(1, 1, cores=1),
    "--workers=2": _Arranged(1, 2),
    "two servers": _Arranged(2, 1),
}
HALVES = 2  #: load generators


@dataclass(frozen=True)
class Round:
    """What one timed run counted, both halves of the load together."""

    throughput: float
    p50: float
    p99: float
    cpu: float  #: milliseconds of processor time that the servers took for a request

    @classmethod
    def of(cls, halves: Sequence[Figures], cpu_seconds: float) -> Round:
        """The latencies are the mean of the medians, and the worse 99th percentile."""
        requests = sum(half.requests for half in halves)
        p50, p99 = statistics.fmean(half.p50 for half in halves), max(half.p99 for half in halves)
        return cls(sum(half.throughput for half in halves), p50, p99, 1000 * cpu_seconds / max(requests, 1))


@dataclass
class Arrangement:
    """Servers that share a load."""

    name: str
    servers: Sequence[Running]
    rounds: dict[tuple[str, int], list[Round]] = field(default_factory=dict)  #: by load and connections

    def drive(self, load: str, connections: int, seconds: int) -> Round:
        """Both halves at once.

        Raises:
            WrongAnswer, LoadFailed
        """
        halves = [(_asked(name), self.servers[i % len(self.servers)]) for i, name in enumerate(_halves(load))]
        for asked, server in halves:
            check(Protocol.V1, ask(asked, server.http_port, server.grpc_port), making.sample(_model(asked), 1))
        before = self._cpu()
        with ThreadPoolExecutor(HALVES) as pool:
            share = connections // HALVES
            runs = [pool.submit(drive, asked, server.http_port, share, seconds) for asked, server in halves]
            figures = [run.result() for run in runs]
        if errors := sum(half.errors for half in figures):
            raise LoadFailed(f"{self.name}: {errors} requests failed")
        return Round.of(figures, self._cpu() - before)

    def memory(self) -> float:
        """Resident, of all servers with their children, in MiB."""
        return sum(server.memory().tree for server in self.servers)

    def _cpu(self) -> float:
        return sum(server.cpu_seconds() for server in self.servers)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status is 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.workers", description=__doc__)
    parser.add_argument(
        "--only", type=list_of(_load), default=list(LOADS), metavar="LOADS", help="MODEL or MODEL+MODEL"
    )
    parser.add_argument("--arrangements", type=list_of(str, list(ARRANGEMENTS)), default=list(ARRANGEMENTS))
    parser.add_argument("--connections", type=list_of(int), default=[16, 64], help="default 16,64")
    parser.add_argument("--seconds", type=count, default=3, help="of one measurement; default 3")
    parser.add_argument("--rounds", type=count, default=3, help="default 3; figures are their medians")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    models = list(dict.fromkeys(name for load in options.only for name in load.split("+")))
    making.ensure(models)
    _stage(models)
    with _running(options.arrangements) as arrangements:
        for load in options.only:
            for connections in options.connections:
                _measure(arrangements, load, connections, options)
                say(f"{load} is measured on {connections} connections")
        memory = {each.name: each.memory() for each in arrangements}
    _print(arrangements, memory)
    return 0


def _measure(arrangements: Sequence[Arrangement], load: str, connections: int, options: argparse.Namespace) -> None:
    """Each in turn, round after round: what slows the machine down slows them all."""
    for each in arrangements:
        each.drive(load, connections, 1)
    for _ in range(options.rounds):
        for each in arrangements:
            each.rounds.setdefault((load, connections), []).append(each.drive(load, connections, options.seconds))


def _print(arrangements: Sequence[Arrangement], memory: Mapping[str, float]) -> None:
    lines = []
    for load, connections in arrangements[0].rounds:
        base = arrangements[0].rounds[load, connections]
        for each in arrangements:
            rounds = each.rounds[load, connections]
            gain = statistics.median(mine.throughput / its.throughput for mine, its in zip(rounds, base, strict=True))
            lines.append((load, str(connections), each.name, *_figures(rounds), f"{gain:.2f}"))
    print(
        f"V1, 1 row; medians of the rounds; latencies in ms. The last column: throughput ÷ {arrangements[0].name}'s.\n"
    )
    head = ("load", "connections", "server", "requests/s", "p50", "p99", "CPU ms a request", "ratio")
    print(table(head, lines))
    sizes = ", ".join(f"{name} {size:,.0f} MiB" for name, size in memory.items())
    print(f"\nResident memory with all children: {sizes}.")


def _figures(rounds: Sequence[Round]) -> Iterator[str]:
    for key in ("throughput", "p50", "p99", "cpu"):
        yield number(statistics.median(getattr(each, key) for each in rounds))


@contextlib.contextmanager
def _running(names: Sequence[str]) -> Iterator[list[Arrangement]]:
    with contextlib.ExitStack() as stack:
        found = []
        for name in names:
            arranged = ARRANGEMENTS[name]
            begun = time.monotonic()
            each = [stack.enter_context(_server(name, number, arranged)) for number in range(arranged.servers)]
            for server in each:
                server.wait_ready("/v2/health/ready", begun)
            found.append(Arrangement(name, each))
        yield found


def _server(arrangement: str, number: int, arranged: _Arranged) -> contextlib.AbstractContextManager[Running]:
    http_port, grpc_port = free_port(), free_port()
    flags = [f"--http_port={http_port}", f"--grpc_port={grpc_port}", f"--workers={arranged.processes}"]
    cores = sorted(os.sched_getaffinity(0))[: arranged.cores]
    held = ["taskset", "--cpu-list", ",".join(map(str, cores))] if cores else []
    command = [*held, sys.executable, "-m", "server", f"--model_dir={RUN / 'models'}", *flags]
    log = RUN / f"{arrangement.strip('-').replace(' ', '-')}-{number}.log"
    return started(arrangement, command, (http_port, grpc_port), log, places.REPOSITORY, {})


def _asked(name: str) -> Request:
    return request(Protocol.V1, name, making.sample(name, 1).inputs)


def _model(asked: Request) -> str:
    return asked.path.removeprefix("/v1/models/").removesuffix(":predict")


def _halves(load: str) -> list[str]:
    """The model that each half of a load asks."""
    names = load.split("+")
    return names if len(names) == HALVES else names * HALVES


def _load(text: str) -> str:
    names = text.split("+")
    if len(names) > HALVES or not set(names) <= set(MODELS):
        raise ValueError(f"{text!r} is neither a model nor two models: there are {', '.join(MODELS)}")
    return text


def _stage(names: Sequence[str]) -> None:
    shutil.rmtree(RUN, ignore_errors=True)
    for name in names:
        shutil.copytree(places.MODELS / name, RUN / "models" / name)


if __name__ == "__main__":
    sys.exit(main())
