"""How long PolyServe and plain KServe take from the command until all their models are ready, in turn."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import psutil

from bench import places, small_models
from bench.ports import free_port
from bench.process import MIB, Running, started

RUN = places.CACHE / "start"
READY = "/v2/health/ready"
OURS, THEIRS = "polyserve", "kserve"
ONE, EXAMPLES, MANY = "one", "examples", "many"
_PATIENCE = 900.0  #: seconds that a start may take
_PEERS = {ONE: "kserve_many", EXAMPLES: "kserve_examples", MANY: "kserve_many"}


@dataclass(frozen=True)
class Start:
    """One start."""

    seconds: float
    processor: float
    memory: float  #: MiB


#: case (`words`) -> server -> each start
Starts: TypeAlias = Mapping[str, Mapping[str, Sequence[Start]]]


def words(case: str, models: int = 1000) -> str:
    """A case as tables name it."""
    return {ONE: "1 scikit-learn model", EXAMPLES: "7 example models", MANY: f"{models:,} small models"}[case]


def measure(
    cases: Sequence[str], rounds: int, say: Callable[[str], None], models: int = 1000, other: Path | None = None
) -> Starts:
    """Start each server `rounds` times in each case, in turn; `other` is another checkout of PolyServe.

    Raises:
        NotStarted, subprocess.CalledProcessError
    """
    trees = {OURS: places.REPOSITORY} | ({"other": other.resolve()} if other else {})
    measured = {}
    for case in cases:
        folder = _folder(case, models)
        found: dict[str, list[Start]] = {name: [] for name in (*trees, THEIRS)}
        for number in range(rounds):
            for name, each in found.items():
                module = f"bench.peers.{_PEERS[case]}" if name == THEIRS else "server"
                each.append(_start(name, module, trees.get(name, places.REPOSITORY), folder))
            say(f"starts, {words(case, models)}: round {number + 1} of {rounds}, load {os.getloadavg()[0]:.1f}")
        measured[words(case, models)] = found
    return measured


def median(starts: Sequence[Start]) -> Start:
    """Of each figure by itself."""
    return Start(
        statistics.median(each.seconds for each in starts),
        statistics.median(each.processor for each in starts),
        statistics.median(each.memory for each in starts),
    )


def _folder(case: str, models: int) -> Path:
    """The models of a case, made where they are missing; what was interrupted is made again."""
    folder = RUN / (f"many-{models}" if case == MANY else case)
    if folder.exists():
        return folder
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    if case == EXAMPLES:
        subprocess.run([sys.executable, "-m", "examples", str(part)], check=True, cwd=places.REPOSITORY)
    else:
        for name in small_models.make(models if case == MANY else 1):
            shutil.copytree(small_models.RUN / "models" / name, part / name)
    return part.rename(folder)


def _start(name: str, module: str, tree: Path, folder: Path) -> Start:
    ports = (free_port(), free_port())
    flags = [f"--model_dir={folder}", f"--http_port={ports[0]}", f"--grpc_port={ports[1]}"]
    environ = {"PYTHONDONTWRITEBYTECODE": ""}
    begun = time.monotonic()
    with started(name, [sys.executable, "-m", module, *flags], ports, RUN / f"{name}.log", tree, environ) as server:
        server.wait_ready(READY, begun, _PATIENCE)
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
