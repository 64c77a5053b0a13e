"""`python -m bench.observability`: what do traces and logged payloads cost a small request?

One server a way of looking on, all of them at once, asked one after another, round after round: whatever else the
machine does meets all of them. Each round's throughput is compared with that of the first server, which nobody looks
on at. `--tree` adds the server of another source tree, as it was before: it must not be faster.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench import places
from bench.arguments import count, guarded, list_of, say
from bench.check import ask, check
from bench.load import LoadFailed, drive
from bench.making import sample
from bench.metrics import Phase
from bench.models import MODELS
from bench.plan import POLYSERVE
from bench.ports import free_port
from bench.process import Running
from bench.report import number, table
from bench.requests import Protocol, request
from bench.systems import SYSTEMS, Launch, System, running

OFF, BEFORE = "off", "before"


def ways(port: int) -> dict[str, tuple[Sequence[str], Mapping[str, str]]]:
    """The flags and the environment of each server, with a collector on that port."""
    endpoint = f"http://127.0.0.1:{port}"

    def traced(share: str) -> Mapping[str, str]:
        sampler = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": share}
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **sampler}

    events, lines = f"--payload_log={endpoint}/events", f"--payload_log={places.LOGS / 'payloads.jsonl'}"
    return {
        OFF: ((), {}),
        "off again": ((), {}),
        "traces 0 %": ((), traced("0")),
        "traces 1 %": ((), traced("0.01")),
        "traces 100 %": ((), traced("1")),
        "events 1 %": ((events, "--payload_log_share=0.01"), {}),
        "events 100 %": ((events,), {}),
        "lines 1 %": ((lines, "--payload_log_share=0.01"), {}),
        "lines 100 %": ((lines,), {}),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit status, 2 if it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.observability", description=__doc__)
    parser.add_argument("--model", choices=list(MODELS), default="logistic", help="default logistic")
    parser.add_argument("--connections", type=list_of(int), default=[1, 64], help="default 1,64")
    parser.add_argument("--seconds", type=count, default=1, help="of one measurement; default 1")
    parser.add_argument("--rounds", type=count, default=10, help="default 10; ratios are medians of theirs")
    parser.add_argument("--only", type=list_of(str, list(ways(0))), help="these ways beside the first; default: all")
    parser.add_argument("--tree", type=Path, help="another source tree, whose server is measured beside these")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    port, lines = free_port(), []
    wanted = {name: way for name, way in ways(port).items() if name == OFF or name in (options.only or ways(port))}
    systems = [_system(name, flags, environ) for name, (flags, environ) in wanted.items()]
    if options.tree is not None:
        systems.insert(1, _system(BEFORE, (), {}, options.tree))
    with _drain(port), running(systems, [options.model]) as alive:
        for connections in options.connections:
            rounds = _rounds(alive, connections, options)
            lines += [(name, str(connections), *_figures(name, rounds)) for name in alive]
    print(f"1 row of {options.model} over V1, medians of {options.rounds} rounds. Ratios to `{OFF}`: of requests/s,")
    print("and of processor time the other way round; below 1 is dearer. Processor time is the steadier of the two.\n")
    print(table(("looking on", "connections", "requests/s", "ratio", "µs of processor", "ratio", "from to"), lines))
    return 0


def _figures(name: str, rounds: Sequence[Mapping[str, Phase]]) -> tuple[str, ...]:
    speeds = [each[name].throughput for each in rounds]
    faster = [each[name].throughput / each[OFF].throughput for each in rounds]
    costs = [each[name].cpu for each in rounds]
    cheaper = [each[OFF].cpu / each[name].cpu for each in rounds]
    return (
        number(statistics.median(speeds)),
        f"{statistics.median(faster):.3f}",
        number(statistics.median(costs)),
        f"{statistics.median(cheaper):.3f}",
        f"{min(cheaper):.3f} to {max(cheaper):.3f}",
    )


def _system(name: str, flags: Sequence[str], environ: Mapping[str, str], tree: Path | None = None) -> System:
    plain = SYSTEMS[POLYSERVE]

    def launch(models: Sequence[str], http_port: int, grpc_port: int) -> Launch:
        one = plain.launch(models, http_port, grpc_port)
        made = replace(one, command=[*one.command, *flags], environ={**one.environ, **environ})
        return made if tree is None else replace(made, cwd=tree)

    return replace(plain, name=name, launch=launch)


@contextlib.contextmanager
def _drain(port: int) -> Iterator[None]:

    command = [sys.executable, "-m", "bench.peers.drain", f"--http_port={port}"]
    process = subprocess.Popen(command, cwd=places.REPOSITORY)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _rounds(alive: Mapping[str, Running], connections: int, options: argparse.Namespace) -> list[dict[str, Phase]]:
    """The figures of each server, round by round; every other round goes backwards."""
    expected = sample(options.model, 1)
    asked = request(Protocol.V1, options.model, expected.inputs)

    def measured(server: Running) -> Phase:
        before = server.cpu_seconds()
        figures = drive(asked, server.http_port, connections, options.seconds)
        if figures.errors:
            raise LoadFailed(f"{figures.errors} of {figures.requests} requests failed")
        return Phase(figures.throughput, 1e6 * (server.cpu_seconds() - before) / figures.requests)

    for server in alive.values():
        check(Protocol.V1, ask(asked, server.http_port, server.grpc_port), expected)
        measured(server)  # warms it up
    rounds = []
    for turn in range(options.rounds):
        names = list(alive) if turn % 2 == 0 else [*alive][::-1]
        rounds.append({name: measured(alive[name]) for name in names})
        say(f"round {turn + 1} of {options.rounds} on {connections} connections")
    return rounds


if __name__ == "__main__":
    sys.exit(main())
