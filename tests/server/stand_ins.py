"""Real adapters of a tiny format, for tests of what surrounds adapters: a file `NAME.echo` with one line of text.

echo              answers twice the input
echo WORD ...     ... and does what the words say while loading: refuse, crash, exit, wait; or tells that it belongs
                  into a worker: holds
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self

import numpy as np
import pytest

from adapters import registry
from adapters.base import (
    Adapter,
    LoadError,
    Match,
    ModelDir,
    Parameter,
    Parameters,
    Rank,
    Signature,
    Tensors,
    TensorSpec,
)

SIGNATURE = Signature(
    (TensorSpec("x", "FP64", (-1, 2), finite=True),),
    (TensorSpec("y", "FP64", (-1, 2)),),
    columns=("a", "b"),
    parameters=(Parameter("factor", int),),
)


class EchoAdapter(Adapter):
    name = "echo"
    platform = "test_echo"
    options = (Parameter("factor", float), Parameter("predict_proba", bool))

    #: loading a file that says "wait" waits for it
    gate: ClassVar[threading.Event] = threading.Event()
    #: how many loads began, and the instances that came of them
    begun: ClassVar[list[str]] = []
    made: ClassVar[list[EchoAdapter]] = []

    def __init__(self, line: str, options: Parameters) -> None:
        self.signature = SIGNATURE
        self.line = line
        self.options_given = dict(options)
        self.closed = self.released = 0

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        files = model_dir.named(".echo")
        if not files:
            return None
        sound = model_dir.head(files[0]).startswith(b"echo")
        return Match(Rank.CONTENT if sound else Rank.SUFFIX, files[0], "" if sound else f"{files[0]} is damaged")

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        line = model_dir.file(file).read_text()
        cls.begun.append(line)
        if "wait" in line:
            assert cls.gate.wait(60)
        if "refuse" in line:
            raise LoadError(f"{file} is refused")
        if "crash" in line:
            raise ZeroDivisionError("by zero")
        if "exit" in line:
            raise SystemExit(3)
        adapter = cls(line, options)
        if "holds" in line:
            adapter.carries = "may hold the interpreter"
        cls.made.append(adapter)
        return adapter

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        if (inputs["x"] == -1).any():
            raise ValueError("poison")
        return {"y": inputs["x"] * np.float64(parameters.get("factor", 2))}

    def close(self) -> None:
        self.closed += 1

    def release(self) -> None:
        """Its memory is not worth it, and tests look at it afterwards."""
        self.released += 1


class BundleAdapter(EchoAdapter):
    """Claims a folder that holds `bundle.txt`, with the folders inside it."""

    name = "bundle"

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return Match(Rank.BUNDLE) if model_dir.has("bundle.txt") else None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        return cls("bundle", options)


class StumblingAdapter(BundleAdapter):
    """Has a mistake of its own: cannot look at folders that hold `stumble.txt`."""

    name = "stumbling"

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        if model_dir.has("stumble.txt"):
            raise RecursionError("too deep")
        return None


@contextmanager
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[EchoAdapter]]:
    """The registry holds these adapters only; the echo adapter starts with no memories and an open gate."""
    kinds = (EchoAdapter, BundleAdapter, StumblingAdapter)
    monkeypatch.setattr(registry, "TABLE", {kind.name: f"{kind.__module__}:{kind.__name__}" for kind in kinds})
    registry.adapters.cache_clear()
    EchoAdapter.gate.set()
    EchoAdapter.begun.clear()
    EchoAdapter.made.clear()
    try:
        yield EchoAdapter
    finally:
        EchoAdapter.gate.set()
        registry.adapters.cache_clear()
