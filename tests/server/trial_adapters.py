"""Adapters that misbehave in every way, for the tests of trials; installed as a third party's would be.

The model directory's `model.txt` says what to do: a line for loading, a line for predicting.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from adapters.base import Adapter, LoadError, Match, ModelDir, Parameters, Signature, Tensors, TensorSpec, Traits


def crash() -> None:
    print("[Fatal] the file makes no sense", flush=True)
    ctypes.string_at(0)


def refuse() -> None:
    raise LoadError("this file is empty")


def fail() -> None:
    raise KeyError("a\nkey " + "x" * 1000)


def damage() -> None:
    """What a broken file may do: the process lives on, and dies of the next one."""
    os.environ["DAMAGED"] = "yes"


def hang_with_gil() -> None:
    ctypes.PyDLL(None).usleep(600_000_000)  # a PyDLL keeps the GIL: nothing else in the process runs meanwhile


ACTIONS: Mapping[str, Callable[[], Any]] = {
    "": lambda: None,
    "crash": crash,
    "abort": lambda: os.abort(),
    "refuse": refuse,
    "fail": fail,
    "exit": lambda: sys.exit(3),
    "hard-exit": lambda: os._exit(7),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "damage": damage,
    "sleep": lambda: time.sleep(600),
    "hang-with-gil": hang_with_gil,
    "pause": lambda: time.sleep(0.1),
    "flood": lambda: [print("x" * 1000) for _ in range(3000)],
}


class MoodyAdapter(Adapter):
    """Doubles its column, after doing what the file says."""

    name: ClassVar[str] = "moody"
    platform: ClassVar[str] = "moody"

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        (model_dir.path / "started").touch()
        if "DAMAGED" in os.environ:
            crash()
        lines = [*model_dir.file(file).read_text(encoding="utf-8").split("\n"), "", ""]
        print(f"loading {lines[0]}", flush=True)
        if lines[0].startswith("report "):
            Path(lines[0].removeprefix("report ")).write_text(
                f"{os.getpid()}\n{' '.join(sys.modules)}\n{dict(os.environ)}\n{options}", encoding="utf-8"
            )
        else:
            ACTIONS[lines[0]]()
        column = TensorSpec("x", "FP64", (-1,))
        model = cls(Signature((column,), (TensorSpec("y", "FP64", (-1,)),)))
        model.mood = lines[1]
        model.ballast = bytearray(int(options.get("ballast", 0)))
        return model

    mood: str
    ballast: bytearray

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        if self.mood == "mean":
            return {"y": inputs["x"] - inputs["x"].mean()}
        if self.mood == "needs-two" and len(inputs["x"]) < 2:
            raise ValueError("two rows at least")
        if self.mood not in ("mean", "needs-two"):
            ACTIONS[self.mood]()
        return {"y": np.multiply(inputs["x"], 2)}


class StubbornAdapter(MoodyAdapter):
    """The same, whose rows depend on each other."""

    name: ClassVar[str] = "stubborn"
    traits = Traits(batchable=False)


class BareAdapter(MoodyAdapter):
    """LightGBM's native reader without any check of the file before it."""

    name: ClassVar[str] = "bare"
    requires: ClassVar[tuple[str, ...]] = ("lightgbm",)

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        import lightgbm

        booster = lightgbm.Booster(model_file=str(model_dir.file(file)))
        table = TensorSpec("x", "FP64", (-1, booster.num_feature()))
        model = cls(Signature((table,), (TensorSpec("y", "FP64", (-1,)),)))
        model.booster = booster
        return model

    booster: Any

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        return {"y": self.booster.predict(inputs["x"], num_threads=1)}
