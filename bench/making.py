"""Makes a model, and asks its framework for the answers that every system must give; keeps both in `.bench/`.

A model is made in a process of its own: `python -m bench.making NAME`. It is made again when its framework's version
or the code that makes it has changed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import frameworks, places
from bench.models import MODELS, Array, rows

ROWS = (1, 32, 1024)
_SOURCES = ("bench/models.py", "bench/frameworks.py", "bench/making.py", "examples/*.py")


@dataclass(frozen=True)
class Sample:
    """What a model is asked, and what its framework answers to that."""

    inputs: Array  #: numbers [n, features] or texts [n]
    predictions: list[Any]
    dtype: str  #: of the predictions, where they are numbers; "" where they are objects


def ensure(names: Iterable[str]) -> None:
    """Make those models that are missing or out of date.

    Raises:
        subprocess.CalledProcessError: making one failed; its output says why.
    """
    for name in names:
        if _stamp_file(name).is_file() and _stamp_file(name).read_text() == _stamp(name):
            continue
        print(f"making the model {name}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "bench.making", name], check=True, cwd=places.REPOSITORY)


def sample(name: str, count: int) -> Sample:
    """The request and answer of `count` rows (one of `ROWS`)."""
    found = json.loads(_sample_file(name, count).read_text())
    inputs = np.array(found["inputs"], dtype=found["input_dtype"])
    return Sample(inputs, found["predictions"], found["dtype"])


def make(name: str) -> None:
    """Make one model and its samples; the stamp comes last, so what was interrupted is made again."""
    _stamp_file(name).unlink(missing_ok=True)
    folder = places.MODELS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    MODELS[name].make(folder)
    predict = frameworks.load(name, folder)
    data = MODELS[name].data()
    places.EXPECTED.mkdir(exist_ok=True)
    for count in ROWS:
        _write_sample(name, count, rows(data, count), predict)
    _stamp_file(name).write_text(_stamp(name))


def _write_sample(name: str, count: int, inputs: Array, predict: frameworks.Predict) -> None:
    answer = predict(inputs)
    numbers = np.asarray(answer) if not isinstance(answer[0], dict) else None
    found = {
        "inputs": inputs.tolist(),
        "input_dtype": str(inputs.dtype),
        "predictions": answer if numbers is None else numbers.tolist(),
        "dtype": "" if numbers is None else str(numbers.dtype),
    }
    _sample_file(name, count).write_text(json.dumps(found))


def _sample_file(name: str, count: int) -> Path:
    return places.EXPECTED / f"{name}-{count}.json"


def _stamp_file(name: str) -> Path:
    return places.EXPECTED / f"{name}.stamp"


def _stamp(name: str) -> str:
    """What the model was made from and with."""
    sources = sorted(path for pattern in _SOURCES for path in places.REPOSITORY.glob(pattern))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    versions = (f"{each} {importlib.metadata.version(each)}" for each in MODELS[name].versions)
    return "\n".join((digest, *versions))


if __name__ == "__main__":
    make(sys.argv[1])
