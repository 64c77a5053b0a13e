"""Frozen graphs: inputs and outputs found or named, and graphs that are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir
from tests.adapters.tensorflow_ import models

pytestmark = pytest.mark.slow  # TensorFlow alone takes seconds to import


def two_inputs(tf: Any) -> None:
    left = tf.compat.v1.placeholder(tf.float32, [None, 2], "left")
    right = tf.compat.v1.placeholder(tf.float32, [None, 2], "right")
    both = tf.add(left, right, name="both")
    tf.identity(both, name="sum")
    tf.split(left * right, 2, axis=1, name="halves")
    tf.debugging.assert_all_finite(left, "finite")


def test_inputs_and_outputs_are_found(tmp_path: Path) -> None:
    models.frozen(tmp_path / "graph.pb", two_inputs)
    adapter = models.load(tmp_path)
    assert [spec.name for spec in adapter.signature.inputs] == ["left", "right"]
    names = {spec.name for spec in adapter.signature.outputs}
    assert {"sum", "halves:0", "halves:1"} <= names
    assert adapter.signature.batched
    assert adapter.traits.batchable
    left, right = np.array([[1, 2], [3, 4]], np.float32), np.array([[5, 6], [7, 8]], np.float32)
    answers = adapter.predict({"left": left, "right": right}, {})
    assert answers["sum"].tolist() == (left + right).tolist()
    assert answers["halves:1"].tolist() == (left * right)[:, 1:].tolist()


def test_inputs_and_outputs_are_named(tmp_path: Path) -> None:
    """Also in the middle of the graph, where other inputs are not needed."""
    models.frozen(tmp_path / "graph.pb", two_inputs)
    adapter = models.load(tmp_path, inputs="both:0", outputs="sum, both")
    assert [spec.name for spec in adapter.signature.inputs] == ["both"]
    assert adapter.predict({"both": np.ones((1, 2), np.float32)}, {})["sum"].tolist() == [[1, 1]]
    with pytest.raises(LoadError, match=r"options\.outputs: the graph has no tensor 'sums'; did you mean 'sum'"):
        models.load(tmp_path, outputs="sums")
    with pytest.raises(LoadError, match=r"options\.inputs: the graph has no tensor 'left:3'"):
        models.load(tmp_path, inputs="left:3")
    with pytest.raises(LoadError, match=r"options\.signature is for a SavedModel"):
        models.load(tmp_path, signature="x")


def test_a_graph_made_by_the_freezing_tool(tmp_path: Path) -> None:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    weights = tf.Variable([[1.0], [2.0]])
    spec = tf.TensorSpec([None, 2], tf.float32, "x")
    function = tf.function(lambda x: tf.matmul(x, weights), input_signature=[spec]).get_concrete_function()
    frozen = convert_variables_to_constants_v2(function)
    tf.io.write_graph(frozen.graph, str(tmp_path), "frozen_graph.pb", as_text=False)
    adapter = models.load(tmp_path)
    x = np.array([[1, 2], [3, 4]], np.float32)
    (answer,) = adapter.predict({"x": x}, {}).values()
    assert answer.tolist() == function(tf.constant(x)).numpy().tolist()


def unfrozen(tf: Any) -> None:
    tf.compat.v1.get_variable("v", [2], use_resource=False)


def outputless(tf: Any) -> None:
    tf.compat.v1.placeholder(tf.float32, [2], "x")


def inputless(tf: Any) -> None:
    tf.identity(tf.constant(1.0), "y")


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (unfrozen, "not frozen"),
        (outputless, r"outputs cannot be told.*options: \{outputs: NAME\}"),
        (inputless, "no placeholder"),
        (lambda tf: tf.identity(tf.compat.v1.placeholder(tf.bfloat16, [2], "x")), "bfloat16"),
    ],
)
def test_why_a_graph_is_not_served(tmp_path: Path, build: Any, reason: str) -> None:
    models.frozen(tmp_path / "graph.pb", build)
    with pytest.raises(LoadError, match=reason):
        models.load(tmp_path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"hello, this is no graph", "truncated or damaged|no TensorFlow graph"),
        (b"\x0a\x01\x08", "truncated or damaged"),
        (b"\x0a\x00", "no TensorFlow graph"),
    ],
)
def test_bytes_that_are_no_graph(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "graph.pb").write_bytes(data)
    with pytest.raises(LoadError, match=reason):
        registry.choose(ModelDir.of(tmp_path))


def test_a_truncated_graph_is_known_by_its_bytes(tmp_path: Path) -> None:
    file = models.frozen(tmp_path / "graph.pb", two_inputs)
    whole = file.read_bytes()
    sizes = range(1, len(whole), 97)
    reasons = [_reason(tmp_path, whole[:size]) for size in sizes]
    refused = [reason for reason in reasons if reason]
    assert all("graph.pb" in reason for reason in refused)
    assert len(refused) > 0.8 * len(reasons)  # a cut between two nodes leaves a graph


def _reason(folder: Path, data: bytes) -> str:
    (folder / "graph.pb").write_bytes(data)
    try:
        registry.choose(ModelDir.of(folder))
    except LoadError as error:
        return str(error)
    return ""


def test_two_graphs_are_one_too_many(tmp_path: Path) -> None:
    models.frozen(tmp_path / "a.pb", two_inputs)
    models.frozen(tmp_path / "b.pb", two_inputs)
    with pytest.raises(LoadError, match=r"two candidate models: a\.pb and b\.pb"):
        registry.choose(ModelDir.of(tmp_path))
    (tmp_path / "a.pb").rename(tmp_path / "model.pb")
    assert registry.choose(ModelDir.of(tmp_path)).match.file == "model.pb"
