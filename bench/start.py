"""From the command to the first answer of a server whose models are all ready, beside plain KServe, in turn.

    python -m bench.start [--cases one,examples,many] [--rounds 3] [--count 1000] [--other TREE]

One scikit-learn model, the seven example models, and as many small scikit-learn models as `--count` says. Of each start
the seconds until GET /v2/health/ready is 200, the processor seconds of all processes until then, those included that
have ended, and their proportional memory (Pss). Processor seconds hold on a machine that does other work, too.

`--other` is another checkout of PolyServe, measured in turn with this one. Every process finds its modules compiled, as
after an installation.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import many, places
from bench.arguments import count, guarded, list_of, say
from bench.ports import free_port
from bench.process import MIB, Running, started
from bench.report import table

RUN = places.CACHE / "start"
READY = "/v2/health/ready"
CASES = {"one": "1 scikit-learn model", "examples": "7 example models", "many": "{count:,} small models"}
_PEERS = {"one": "kserve_many", "examples": "kserve_examples", "many": "kserve_many"}


@dataclass(frozen=True)
class Start:
    """One start."""

    seconds: float
    processor: float
    memory: float  #: MiB


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table; the exit status is 2 if a server did not start."""
    parser = argparse.ArgumentParser(prog="python -m bench.start", description=__doc__)
    parser.add_argument("--cases", type=list_of(str, tuple(CASES)), default=list(CASES), help="default: all")
    parser.add_argument("--rounds", type=count, default=3)
    parser.add_argument("--count", type=count, default=1000, help="small models; default 1000")
    parser.add_argument("--other", type=Path, help="another checkout of PolyServe")
    options = parser.parse_args(arguments)
    return guarded(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    trees = {"polyserve": places.REPOSITORY} | ({"other": options.other.resolve()} if options.other else {})
    lines = []
    for case in options.cases:
        folder = _folder(case, options.count)
        found: dict[str, list[Start]] = {name: [] for name in (*trees, "kserve")}
        for number in range(options.rounds):
            for name, starts in found.items():
                module = f"bench.peers.{_PEERS[case]}" if name == "kserve" else "server"
                starts.append(_start(name, module, trees.get(name, places.REPOSITORY), folder))
            say(f"{case}: round {number + 1} of {options.rounds}, load {os.getloadavg()[0]:.1f}")
        lines += _lines(CASES[case].format(count=options.count), found)
    head = (
        "models",
        "server",
        "ready, s",
        "rounds",
        "processor s",
        "Pss, MiB",
        "ready ÷ kserve's",
        "processor ÷ kserve's",
    )
    print(f"Medians of {options.rounds} starts each, in turn.\n")
    print(table(head, lines))
    return 0


def _lines(case: str, found: dict[str, list[Start]]) -> list[tuple[str, ...]]:
    middle = {
        name: Start(
            statistics.median(each.seconds for each in starts),
            statistics.median(each.processor for each in starts),
            statistics.median(each.memory for each in starts),
        )
        for name, starts in found.items()
    }
    theirs = middle["kserve"]
    return [
        (
            case,
            name,
            f"{one.seconds:.1f}",
            " ".join(f"{each.seconds:.1f}" for each in found[name]),
            f"{one.processor:.1f}",
            f"{one.memory:,.0f}",
            "-" if name == "kserve" else f"{one.seconds / theirs.seconds:.2f}",
            "-" if name == "kserve" else f"{one.processor / theirs.processor:.2f}",
        )
        for name, one in middle.items()
    ]


def _folder(case: str, models: int) -> Path:
    """The models of a case, made where they are missing."""
    folder = RUN / (f"many-{models}" if case == "many" else case)
    if folder.exists():
        return folder
    if case == "examples":
        subprocess.run([sys.executable, "-m", "examples", str(folder)], check=True, cwd=places.REPOSITORY)
        return folder
    number = models if case == "many" else 1
    names = list(many.make(number))
    for name in names:
        shutil.copytree(many.RUN / "models" / name, folder / name)
    return folder


def _start(name: str, module: str, tree: Path, folder: Path) -> Start:
    ports = (free_port(), free_port())
    flags = [f"--model_dir={folder}", f"--http_port={ports[0]}", f"--grpc_port={ports[1]}"]
    environ = {"PYTHONDONTWRITEBYTECODE": ""}
    begun = time.monotonic()
    with started(name, [sys.executable, "-m", module, *flags], ports, RUN / f"{name}.log", tree, environ) as server:
        server.wait_ready(READY, begun)
        return Start(server.seconds_to_ready, _processor_seconds(server), _memory(server))


def _processes(server: Running) -> list[psutil.Process]:
    main = psutil.Process(server.process.pid)
    return [main, *main.children(recursive=True)]


def _processor_seconds(server: Running) -> float:
    """Of all processes, and of those children that have ended."""
    times = [process.cpu_times() for process in _processes(server)]
    return float(sum(each.user + each.system + each.children_user + each.children_system for each in times))


def _memory(server: Running) -> float:
    return float(sum(process.memory_full_info().pss for process in _processes(server)) / MIB)


if __name__ == "__main__":
    sys.exit(main())
