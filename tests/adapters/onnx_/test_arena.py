"""All ONNX sessions of a process share one pool of memory, with an end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.adapters.onnx_.models import FLOAT, constant, graph, linear, node, value, write

#: the outer product of as many numbers as are asked for, in a process with little memory for it
_PROGRAM = """
import sys
import numpy as np
from adapters.base import ModelDir
from adapters.onnx_ import arena
from adapters.onnx_.adapter import OnnxAdapter
from adapters.shared.memory import memory_bytes

arena.SHARE = (64 << 20) / memory_bytes()
first, second = [OnnxAdapter.load(ModelDir.of(sys.argv[1]), "model.onnx", {}) for _ in range(2)]
def ask(adapter, numbers):
    return adapter.predict({"x": np.ones(numbers, np.float32)}, {})["y"].tolist()
print(ask(first, 1000), ask(second, 1000))
for adapter in (first, second):
    try:
        ask(adapter, 100_000)
    except RuntimeError as error:
        print(error)
first.close()
first.release()
print(ask(second, 2000))
"""


def test_a_run_beyond_the_end_fails_and_disturbs_nobody(tmp_path: Path) -> None:
    product = graph(
        [
            node("Unsqueeze", ["x", "last"], ["column"]),
            node("Mul", ["column", "x"], ["square"]),
            node("ReduceSum", ["square"], ["y"], keepdims=0),
        ],
        [value("x", FLOAT, ["N"])],
        [value("y", FLOAT, [])],
        [constant(np.array([1]), "last")],
    )
    write(tmp_path, product)
    asked = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert asked.returncode == 0, asked.stderr
    answers, *refusals, last = asked.stdout.splitlines()
    assert answers == "1000000.0 1000000.0"
    assert refusals[0].startswith("Mul needs 40000000000 bytes at once, and ")
    assert len(refusals) == 2
    assert last == "4000000.0"


def test_memory_is_given_back_when_a_session_goes(tmp_path: Path) -> None:
    program = """
import gc, sys
import numpy as np
from adapters.base import ModelDir
from adapters.onnx_.adapter import OnnxAdapter
adapter = OnnxAdapter.load(ModelDir.of(sys.argv[1]), "model.onnx", {})
adapter.predict({"x": np.ones((1 << 22, 4), np.float32)}, {})
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
before = resident()
adapter.close()
adapter.release()
gc.collect()
print((before - resident()) >> 20)
"""
    model = linear()
    model.graph.node.append(node("ReduceSum", ["y"], ["z"], keepdims=0))
    model.graph.output[0].CopyFrom(value("z", FLOAT, []))
    write(tmp_path, model)
    asked = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert asked.returncode == 0, asked.stderr
    assert int(asked.stdout) >= 24  # of the 32 MiB of y
