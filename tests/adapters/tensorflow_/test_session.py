"""Graphs run in a session: what goes in and comes out, by which shapes, and on whose thread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapters.tensorflow_.session import Tensor, entry, open_session
from adapters.tensorflow_.types import TensorflowPort

pytestmark = pytest.mark.slow  # TensorFlow alone takes seconds to import


@pytest.fixture(scope="module")
def session() -> Any:
    """y = 2 x and its sum for one row of two, and a text in upper case."""
    import tensorflow as tf

    with open_session() as opened, opened.graph.as_default():
        v1 = tf.compat.v1
        x = v1.placeholder(tf.float32, (1, 2), name="x")
        tf.multiply(x, 2.0, name="y")
        tf.reduce_sum(x, name="sum")
        tf.strings.upper(v1.placeholder(tf.string, (), name="text"), name="upper")
        yield opened


def port(name: str, datatype: str = "FP32", dims: tuple[int, ...] | None = (1, 2)) -> Tensor:
    return Tensor(TensorflowPort(name, datatype, dims), f"{name}:0")


def test_an_entry_gives_its_outputs_in_their_order(session: Any) -> None:
    made = entry(session, "serve", [port("x")], [port("sum", dims=()), port("y")])
    total, doubled = made.run([np.array([[1, 2.5]], np.float32)])
    assert (total.shape, total.dtype, total[()]) == ((), np.float32, 3.5)
    assert doubled.tolist() == [[2, 5]]
    assert made.name == "serve"
    assert [each.name for each in (*made.inputs, *made.outputs)] == ["x", "sum", "y"]


def test_a_text_without_dimensions_is_an_array_of_bytes(session: Any) -> None:
    made = entry(session, "s", [port("text", "BYTES", ())], [port("upper", "BYTES", ())])
    (text,) = made.run([np.array(b"abc", dtype=object)])
    assert (text.shape, text.dtype, text[()]) == ((), object, b"ABC")


def test_the_shape_of_a_placeholder_is_insisted_on_unless_it_is_run_unchecked(session: Any) -> None:
    made = entry(session, "s", [port("x")], [port("y")])
    rows = np.array([[1, 2], [3, 4]], np.float32)
    with pytest.raises(ValueError, match="Cannot feed value of shape"):
        made.run([rows])
    freed = made.of_any_rows()
    assert freed is not None
    assert freed.inputs[0].dims == (-1, 2)
    (doubled,) = freed.run([rows])
    assert doubled.tolist() == [[2, 4], [6, 8]]


def test_a_call_takes_no_other_thread(session: Any) -> None:
    config = session._config
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == (1, -1)
    assert config.use_per_session_threads
    assert config.gpu_options.allow_growth


def test_sessions_do_not_know_each_other(session: Any) -> None:
    with open_session() as other:
        assert other.graph is not session.graph
        assert other.graph.get_operations() == []
