"""What the tests of XGBoost's and LightGBM's boosters share."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from adapters.base import Adapter, ModelDir, Rank

A = TypeVar("A", bound=Adapter)

_CHILD = """
import importlib, sys
from pathlib import Path
from adapters.base import LoadError, ModelDir

folders = [ModelDir.of(folder) for folder in sorted(Path(sys.argv[1]).iterdir())]
adapter = getattr(importlib.import_module(sys.argv[2]), sys.argv[3])
matches = [adapter.match(folder) for folder in folders]
assert sys.argv[4] not in sys.modules
for folder, match in zip(folders, matches):
    try:
        served = adapter.load(folder, "m.bst", {}) if match and not match.problem else None
        served and served.predict(served.example(), {})
        outcome = "served" if served else "refused"
    except LoadError:
        outcome = "refused"
    except Exception as error:
        outcome = type(error).__name__
    print("@", folder.path.name, outcome, flush=True)
"""


def same(left: Any, right: Any) -> bool:
    """Equal to the bit, and of one shape and dtype."""
    return left.shape == right.shape and left.dtype == right.dtype and left.tobytes() == right.tobytes()


def frame_with_gaps(rows: int) -> pd.DataFrame:
    """Numbers, categories of text and of numbers; some ages and cities are missing."""
    rng = np.random.default_rng(0)
    cities = ["Rome", "Oslo", "Bern"]
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, rows),
            "city": pd.Categorical(rng.choice(cities, rows), categories=cities),
            "zone": pd.Categorical(rng.choice([7, 3, 11], rows)),
            "visits": rng.integers(0, 9, rows),
        }
    )
    frame.loc[5:9, "city"] = None
    frame.loc[7:12, "age"] = np.nan
    return frame


def claimed(adapter: type[A], other: type[Adapter], path: Path, **options: Any) -> A:
    """The model in the folder, which is the adapter's by its bytes and not the other's."""
    model_dir = ModelDir.of(path)
    match = adapter.match(model_dir)
    assert match is not None
    assert match.rank is Rank.CONTENT
    assert not match.problem
    assert other.match(model_dir) is None
    return adapter.load(model_dir, match.file, options)


def problem(adapter: type[Adapter], path: Path) -> str:
    match = adapter.match(ModelDir.of(path))
    assert match is not None
    return match.problem


def check_threads(adapter: Adapter, rows: Any, want: Any) -> None:
    """Callers of several threads get their own rows' answers."""

    def ask(start: int) -> bool:
        inputs, expected = {"input-0": rows[start : start + 7]}, want[start : start + 7]
        return all(same(adapter.predict(inputs, {})["output-0"], expected) for _ in range(5))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(0, len(rows) - 10, 7)))


def check_pickles_are_not_executed(adapter: type[Adapter], endings: Iterable[str], folder: Path) -> None:
    class Mark:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(folder / "mark"),)

    for ending in endings:
        (folder / f"m{ending}").write_bytes(pickle.dumps(Mark()))
    assert problem(adapter, folder)
    assert not (folder / "mark").exists()


def damage(folder: Path, kind: str, data: bytes, count: int, rng: random.Random, whole: int | None = None) -> None:
    """`count` models cut off before `whole` bytes, and as many with three other bytes."""

    def write(name: str, content: bytes) -> None:
        (folder / name).mkdir()
        (folder / name / "m.bst").write_bytes(content)

    for at in rng.sample(range(len(data) if whole is None else whole), count):
        write(f"cut-{kind}-{at:06}", data[:at])
    for number in range(count):
        mutated = bytearray(data)
        for at in rng.sample(range(20, len(data)), 3):
            mutated[at] = rng.randrange(256)
        write(f"mutated-{kind}-{number}", bytes(mutated))


def outcomes(folder: Path, adapter: type[Adapter], framework: str) -> dict[str, str]:
    """What a process of its own makes of every model: served, refused, or the error that it raised."""
    command = [sys.executable, "-c", _CHILD, str(folder), adapter.__module__, adapter.__name__, framework]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr[-500:]
    return dict(line.split()[1:] for line in done.stdout.splitlines() if line.startswith("@ "))
