"""A sample of onnx's own backend tests: a graph answers over V2 as recorded, or its reason says why not."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from adapters.base import LoadError, ModelDir, Tensors
from adapters.onnx_ import OnnxAdapter
from server.codec import v2
from server.codec.raw_tensors import to_bytes

pytestmark = pytest.mark.slow

#: every so manieth case; the others differ in attributes. `make conformance` tries all
STEP = 1 if os.environ.get("EVERY_CASE") else 37
#: what is said of graphs whose types no tensor of the protocols carries, or that this ONNX Runtime does not know
REASONS = ("which is not served", "cannot load", "declares no shape")


@pytest.fixture(scope="module")
def cases() -> list[Any]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx casts numbers out of range, to record what comes of it
        found = collect_testcases(None)
    return sorted((case for case in found if case.data_sets), key=lambda case: case.name)[::STEP]


def ask(adapter: OnnxAdapter, inputs: Tensors) -> Tensors:
    """Through the codec of V2's binary extension."""
    specs = {spec.name: spec for spec in adapter.signature.inputs}
    raws = [to_bytes(array, specs[name].datatype) for name, array in inputs.items()]
    sent = [
        {"name": name, "shape": list(inputs[name].shape), "datatype": specs[name].datatype, **_size(raw)}
        for name, raw in zip(inputs, raws, strict=True)
    ]
    call = v2.decode_parsed({"inputs": sent}, memoryview(b"".join(raws)), adapter.signature)
    return adapter.predict(call.inputs, call.parameters)


def _size(raw: bytes) -> dict[str, Any]:
    return {"parameters": {"binary_data_size": len(raw)}}


def outcome(case: Any, folder: Path) -> str:
    """ "right"; "ONNX Runtime's own" where that answers so; "refused" with a reason that is known; or what is wrong."""
    folder.mkdir()
    onnx.save(case.model, folder / "model.onnx")
    inputs, wanted = case.data_sets[0]
    try:
        adapter = OnnxAdapter.load(ModelDir.of(folder), "model.onnx", {})
    except LoadError as error:
        return "refused" if any(reason in str(error) for reason in REASONS) else f"refused: {error}"
    names = [value.name for value in case.model.graph.input]
    if not all(isinstance(array, np.ndarray) and array.size for array in (*inputs, *wanted)):
        return "no tensors to compare"
    feeds = dict(zip(names, inputs, strict=True))
    outputs = [value.name for value in case.model.graph.output]
    try:
        given = ask(adapter, feeds)
    except Exception as error:
        return f"{type(error).__name__}: {error}" if direct(folder, feeds) is not None else "ONNX Runtime's own"
    if all(same(given[name], array, case) for name, array in zip(outputs, wanted, strict=True)):
        return "right"
    own = direct(folder, feeds)
    is_own = own is not None and all(same(given[name], array, case) for name, array in zip(outputs, own, strict=True))
    return "ONNX Runtime's own" if is_own else "another answer"


def direct(folder: Path, feeds: Tensors) -> list[Any] | None:
    """What ONNX Runtime answers by itself, on one thread as adapters do; None where it refuses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    try:
        return list(session.run(None, feeds))
    except Exception:
        return None


def same(given: Any, wanted: Any, case: Any) -> bool:
    if wanted.dtype.kind == "f":
        ours, theirs = given.astype(np.float64), wanted.astype(np.float64)
        return bool(ours.shape == theirs.shape and np.allclose(ours, theirs, case.rtol, max(case.atol, 1e-6), True))
    return bool(given.shape == wanted.shape and given.tolist() == wanted.tolist())


def test_graphs_answer_as_recorded_or_say_why_not(cases: list[Any], tmp_path: Path) -> None:
    found = {}
    for case in cases:
        try:
            found[case.name] = outcome(case, tmp_path / case.name)
        except Exception as error:  # each case is told, not the first alone
            found[case.name] = f"{type(error).__name__}: {error}"
    good = ("right", "ONNX Runtime's own", "refused", "no tensors to compare")
    assert {name: told for name, told in found.items() if told not in good} == {}
    assert sum(told == "right" for told in found.values()) > len(found) / 2
