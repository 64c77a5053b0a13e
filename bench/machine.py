"""The machine and the versions that a run's figures belong to."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import psutil

from bench import places
from bench.environments import Environment

_OURS = (
    "kserve", "uvicorn", "uvloop", "httptools", "fastapi", "orjson", "grpcio", "numpy", "scikit-learn", "xgboost",
    "lightgbm", "onnxruntime", "spacy", "torch", "transformers",
)  # fmt: skip
#: of the systems' own environments, those that are in them
_THEIRS = (
    "mlserver", "nvidia-pytriton", "mosec", "litserve", "bentoml", "ray", "uvicorn", "fastapi", "grpcio", "numpy",
    "scikit-learn", "xgboost", "lightgbm", "onnxruntime", "torch", "transformers",
)  # fmt: skip


def machine() -> str:
    """Processor, cores, memory, system."""
    info = Path("/proc/cpuinfo").read_text()
    named = re.search(r"model name\s*: (.*)", info)
    cores = len(os.sched_getaffinity(0))
    memory = psutil.virtual_memory().total / 2**30
    return f"{cores} cores of {named[1] if named else platform.machine()}, {memory:.0f} GiB, Linux {platform.release()}"


def load_average() -> float:
    """Processes that ran or waited in the last minute: what else the machine was doing."""
    return os.getloadavg()[0]


def versions(environments: Iterable[Environment | None]) -> dict[str, str]:
    """Environment or tool -> what is in it."""
    found = {"Python": platform.python_version(), "PolyServe": _commit()}
    found["PolyServe's and KServe's environment"] = _listed({name: importlib.metadata.version(name) for name in _OURS})
    for environment in dict.fromkeys(environments):
        if environment:
            theirs = environment.versions()
            found[f"Environment of {environment.name}"] = _listed(
                {name: theirs[name] for name in _THEIRS if name in theirs}
            )
    found["Load generators"] = f"{_first_line('wrk', '--version')}; {_first_line('h2load', '--version')}"
    return found


def _listed(of: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in of.items())


def _commit() -> str:
    """The commit of the working tree, marked when files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=places.REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return described.stdout.strip() or "unknown commit"


def _first_line(*command: str) -> str:
    output = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return output.partition("\n")[0].partition(" Copyright")[0]
