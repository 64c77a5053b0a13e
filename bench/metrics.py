"""`python -m bench.metrics`: what does it cost a request that it is counted?

Three servers in turn, round after round: one that counts nothing (peers/uncounted.py), and the server as it is, twice:
how far those two are apart is what such a comparison cannot tell. Beside it stands what the counting of one request
takes by itself, timed here, and its share of the processor time that the server takes for a request.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bench.arguments import count, guarded, list_of, say
from bench.check import ask, check
from bench.load import LoadFailed, drive
from bench.making import sample
from bench.models import MODELS
from bench.plan import POLYSERVE
from bench.process import Running
from bench.report import number, table
from bench.requests import Protocol, request
from bench.systems import SYSTEMS, Launch, System, running

COUNTED, AGAIN, UNCOUNTED = POLYSERVE, f"{POLYSERVE} again", "uncounted"
MOST = 0.01  #: of a request's processor time, that its counting may take by itself
ALONE = 40_000  #: requests that are counted to time it
BATCH = 8  #: requests in one call of the model, where there are many connections


@dataclass
class Rounds:
    """One system's figures, round by round."""

    throughput: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  #: microseconds of processor time for a request


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables; the exit status: 1 if counting takes more than promised, 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.metrics", description=__doc__)
    parser.add_argument("--model", choices=list(MODELS), default="logistic", help="default logistic")
    protocols = list(Protocol)
    parser.add_argument("--protocols", type=list_of(Protocol, protocols), default=protocols, help="default: all")
    parser.add_argument("--connections", type=list_of(int), default=[1, 64], help="default 1,64")
    parser.add_argument("--seconds", type=count, default=1, help="of one measurement; default 1")
    parser.add_argument("--rounds", type=count, default=8, help="default 8; ratios are medians of their pairs")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    lines, kept = [], True
    systems = [SYSTEMS[POLYSERVE], replace(SYSTEMS[POLYSERVE], name=AGAIN), _uncounted(SYSTEMS[POLYSERVE])]
    with running(systems, [options.model]) as alive:
        for protocol in options.protocols:
            for connections in options.connections:
                found = _alternating(alive, protocol, connections, options)
                alone = _alone(min(connections, BATCH)) / statistics.median(found[COUNTED].cpu)
                kept = kept and alone <= MOST
                lines.append((protocol.value, str(connections), *_figures(found), f"{alone:.2%}"))
                say(f"{protocol.value} is measured on {connections} connections")
    print(f"1 row of {options.model} a request: a server that counts ÷ one that does not, medians of {options.rounds}")
    print("rounds in turn; in brackets two that both count: what is nearer to 1 than those, this cannot see. Last, what")
    print(f"it takes to count a request, timed alone, as a share of its processor time: {MOST:.0%} at most.\n")
    print(table(("protocol", "connections", "requests/s", "processor time", "µs of it", "counting"), lines))
    return 0 if kept else 1


def _uncounted(system: System) -> System:
    def launch(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
        one = system.launch(models, http_port, grpc_port)
        return replace(one, command=["bench.peers.uncounted" if word == "server" else word for word in one.command])

    return replace(system, name=UNCOUNTED, launch=launch)


def _alternating(
    alive: dict[str, Running], protocol: Protocol, connections: int, options: argparse.Namespace
) -> dict[str, Rounds]:
    expected = sample(options.model, 1)
    asked = request(protocol, options.model, expected.inputs)
    found = {name: Rounds() for name in alive}
    for system in alive.values():
        check(protocol, ask(asked, system.http_port, system.grpc_port), expected)  # h2load would not tell an error
    for turn in range(-1, options.rounds):
        for name in sorted(alive, reverse=bool(turn % 2)):
            system = alive[name]
            port = system.grpc_port if protocol is Protocol.GRPC else system.http_port
            before = system.cpu_seconds()
            figures = drive(asked, port, connections, options.seconds)
            if figures.errors:
                raise LoadFailed(f"{figures.errors} of {figures.requests} requests to {name} failed")
            if turn >= 0:  # the first only warms up
                found[name].throughput.append(figures.throughput)
                found[name].cpu.append(1e6 * (system.cpu_seconds() - before) / figures.requests)
    return found


def _figures(found: dict[str, Rounds]) -> tuple[str, str, str]:
    """Requests a second and processor time as ratios, and the latter of a request in microseconds."""
    counted, again, without = (found[name] for name in (COUNTED, AGAIN, UNCOUNTED))
    throughput = f"{_ratio(counted.throughput, without.throughput)} ({_ratio(counted.throughput, again.throughput)})"
    cpu = f"{_ratio(counted.cpu, without.cpu)} ({_ratio(counted.cpu, again.cpu)})"
    return throughput, cpu, number(statistics.median(counted.cpu))


def _ratio(ones: Sequence[float], others: Sequence[float]) -> str:
    return f"{statistics.median(one / other for one, other in zip(ones, others, strict=True)):.3f}"


def _alone(batch: int) -> float:
    """Microseconds of counting one request, where `batch` of them share a call of the model."""
    from server.counts import ModelMetrics

    metrics = ModelMetrics()
    waits = [0.0001] * batch
    began = time.process_time()
    for _ in range(ALONE // batch):
        metrics.called(batch, waits)
        for start in waits:
            metrics.answered("v1", start, 0.0002, 0.0007, 0.0008)
    return 1e6 * (time.process_time() - began) / (ALONE // batch * batch)


if __name__ == "__main__":
    sys.exit(main())
