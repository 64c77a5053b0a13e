"""`python -m bench.metrics`: what does it cost a request that it is counted?

One server (peers/countable.py) counts, counts nothing, and counts again, round after round: how far the first and the
third are apart is what such a comparison cannot tell. Beside it stands what the counting of one request takes by
itself, timed here, as a share of the processor time that the server takes for a request.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bench.arguments import count, guarded, list_of, say
from bench.check import ask, check
from bench.load import LoadFailed, drive
from bench.making import sample
from bench.models import MODELS
from bench.plan import POLYSERVE
from bench.process import Running
from bench.report import number, table
from bench.requests import Protocol, Request, request
from bench.systems import SYSTEMS, Launch, System, running

SYSTEM = "countable"
MOST = 0.02  #: of a request's processor time, that its counting may take by itself
ALONE = 400_000  #: requests that are counted to time it
BATCH = 8  #: requests in one call of the model, where there are many connections


@dataclass(frozen=True)
class Phase:
    """What one timed run counted."""

    throughput: float
    cpu: float  #: microseconds of processor time for a request


#: a server that counts, that counts nothing, and that counts again
Round = tuple[Phase, Phase, Phase]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status: 1 if counting takes more than promised, 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.metrics", description=__doc__)
    parser.add_argument("--model", choices=list(MODELS), default="logistic", help="default logistic")
    protocols = list(Protocol)
    parser.add_argument("--protocols", type=list_of(Protocol, protocols), default=protocols, help="default: all")
    parser.add_argument("--connections", type=list_of(int), default=[1, 64], help="default 1,64")
    parser.add_argument("--seconds", type=count, default=1, help="of one measurement; default 1")
    parser.add_argument("--rounds", type=count, default=10, help="default 10; ratios are medians of theirs")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    lines, kept = [], True
    with running([_countable(SYSTEMS[POLYSERVE])], [options.model]) as alive:
        for protocol in options.protocols:
            for connections in options.connections:
                rounds = _rounds(alive[SYSTEM], protocol, connections, options)
                micros = statistics.median(each[0].cpu for each in rounds)
                share = _alone(min(connections, BATCH)) / micros
                kept = kept and share <= MOST
                lines.append((protocol.value, str(connections), *_ratios(rounds), number(micros), f"{share:.1%}"))
                say(f"{protocol.value} is measured on {connections} connections")
    print(
        f"1 row of {options.model} a request: with ÷ without counting, medians of {options.rounds} rounds; in brackets"
    )
    print(
        "counting ÷ counting: what is nearer to 1 than that, this cannot see. Last, what it takes to count a request,"
    )
    print(f"timed alone, as a share of the processor time of one: {MOST:.0%} at most.\n")
    print(table(("protocol", "connections", "requests/s", "processor time", "µs a request", "alone"), lines))
    return 0 if kept else 1


def _countable(system: System) -> System:
    def launch(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
        one = system.launch(models, http_port, grpc_port)
        return replace(one, command=["bench.peers.countable" if word == "server" else word for word in one.command])

    return replace(system, name=SYSTEM, launch=launch)


def _rounds(server: Running, protocol: Protocol, connections: int, options: argparse.Namespace) -> list[Round]:
    expected = sample(options.model, 1)
    asked = request(protocol, options.model, expected.inputs)
    check(protocol, ask(asked, server.http_port, server.grpc_port), expected)  # h2load would not tell an error

    def phase(sign: signal.Signals) -> Phase:
        server.process.send_signal(sign)
        return _phase(server, asked, connections, options.seconds)

    phase(signal.SIGUSR2)  # warms it up
    return [(phase(signal.SIGUSR2), phase(signal.SIGUSR1), phase(signal.SIGUSR2)) for _ in range(options.rounds)]


def _phase(server: Running, asked: Request, connections: int, seconds: int) -> Phase:
    port = server.grpc_port if asked.protocol is Protocol.GRPC else server.http_port
    before = server.cpu_seconds()
    figures = drive(asked, port, connections, seconds)
    if figures.errors:
        raise LoadFailed(f"{figures.errors} of {figures.requests} requests failed")
    return Phase(figures.throughput, 1e6 * (server.cpu_seconds() - before) / figures.requests)


def _ratios(rounds: Sequence[Round]) -> tuple[str, str]:
    """Of requests a second, and of processor time."""
    return _ratio(rounds, lambda phase: phase.throughput), _ratio(rounds, lambda phase: phase.cpu)


def _ratio(rounds: Sequence[Round], figure: Callable[[Phase], float]) -> str:
    found = [tuple(map(figure, each)) for each in rounds]
    effect = statistics.median((one + again) / 2 / without for one, without, again in found)
    return f"{effect:.3f} ({statistics.median(again / one for one, _, again in found):.3f})"


def _alone(batch: int) -> float:
    """Microseconds of counting one request, where `batch` of them share a call of the model."""
    from server.telemetry.counters import ModelMetrics

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
