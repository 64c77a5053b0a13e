"""What `--workers N` changes: requests a second and latency of models that keep Python busy, and of those that do not.

    python -m bench.workers [--only spacy,forest] [--processes 1,2] [--seconds 3] [--rounds 3]

One process takes all requests whatever N is: several would each hold every model, whose states would differ. The
question is what is gained where the work is: models whose calls are long and hold Python's lock are computed by N
processes of their own, all others stay where a call costs no way to anywhere.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Sequence

from bench import making, places
from bench.arguments import count, guarded, list_of, say
from bench.check import ask, check
from bench.load import Figures, drive
from bench.models import MODELS
from bench.process import Running, free_ports, started
from bench.report import number, table
from bench.requests import Protocol, request

BUSY = ("logistic", "forest", "spacy", "bert")
CONNECTIONS = 16
RUN = places.CACHE / "workers"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status is 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.workers", description=__doc__)
    parser.add_argument("--only", type=list_of(str, list(MODELS)), default=list(BUSY), metavar="MODELS")
    parser.add_argument("--processes", type=list_of(int), default=[1, 2], metavar="N,N")
    parser.add_argument("--seconds", type=count, default=3, help="of one measurement; default 3")
    parser.add_argument("--rounds", type=count, default=3, help="default 3; figures are their medians")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    making.ensure(options.only)
    _stage(options.only)
    found: dict[tuple[str, int], list[Figures]] = {}
    memory: dict[int, float] = {}
    with contextlib.ExitStack() as stack:
        servers = {processes: stack.enter_context(_server(processes)) for processes in options.processes}
        for name in options.only:
            for _ in range(options.rounds):
                for processes, server in servers.items():
                    found.setdefault((name, processes), []).append(_measured(server, name, options.seconds))
            say(f"{name} is measured")
        for processes, server in servers.items():
            memory[processes] = server.memory().tree
    _print(options.only, found, memory)
    return 0


def _print(names: Sequence[str], found: dict[tuple[str, int], list[Figures]], memory: dict[int, float]) -> None:
    lines = []
    for (name, processes), figures in found.items():
        throughput = number(statistics.median(each.throughput for each in figures))
        p50, p99 = (f"{statistics.median(getattr(each, key) for each in figures):.2f}" for key in ("p50", "p99"))
        lines.append((name, f"--workers={processes}", throughput, p50, p99))
    print(f"V1, 1 row, {CONNECTIONS} connections, medians of the rounds; latencies in ms.\n")
    print(table(("model", "server", "requests/s", "p50", "p99"), lines))
    sizes = ", ".join(f"{size:,.0f} MiB with --workers={processes}" for processes, size in memory.items())
    print(f"\nResident memory of the server and its children: {sizes}.")


def _measured(server: Running, name: str, seconds: int) -> Figures:
    expected = making.sample(name, 1)
    asked = request(Protocol.V1, name, expected.inputs)
    check(Protocol.V1, ask(asked, server.http_port, server.grpc_port), expected)
    drive(asked, server.http_port, CONNECTIONS, 1)
    return drive(asked, server.http_port, CONNECTIONS, seconds)


@contextlib.contextmanager
def _server(processes: int) -> Iterator[Running]:
    http_port, grpc_port = free_ports(2)
    flags = [f"--http_port={http_port}", f"--grpc_port={grpc_port}", f"--workers={processes}"]
    command = [sys.executable, "-m", "server", f"--model_dir={RUN / 'models'}", *flags]
    log = RUN / f"workers-{processes}.log"
    began = time.monotonic()
    with started(f"--workers={processes}", command, (http_port, grpc_port), log, places.REPOSITORY, {}) as server:
        server.wait_ready("/v2/health/ready", began)
        yield server


def _stage(names: Sequence[str]) -> None:
    shutil.rmtree(RUN, ignore_errors=True)
    for name in names:
        shutil.copytree(places.MODELS / name, RUN / "models" / name)


if __name__ == "__main__":
    sys.exit(main())
