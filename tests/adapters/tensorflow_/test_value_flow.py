"""Who decides how large a graph's tensors become: values are followed to the sizes, wherever a graph leads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import ModelDir, Trust
from adapters.tensorflow_.graph import Function, Graph, Node, frozen_graph
from adapters.tensorflow_.value_flow import sized_by_values, sizes_of
from tests.adapters.tensorflow_ import models

pytestmark = pytest.mark.slow  # TensorFlow alone takes seconds to import

Body = Callable[[Any, Any], Any]


def saved(folder: Path, body: Body, dtype: str = "int32") -> Path:
    """A SavedModel whose only signature is `body(tf, x)`, x being a vector."""
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kept = tf.Variable(1)
            spec = tf.TensorSpec([None], getattr(tf, dtype))
            self.f = tf.function(lambda x: {"y": body(tf, x)}, input_signature=[spec], autograph=False)

    module = Module()
    STATE["kept"] = module.kept
    return models.save(folder, module, serving_default=module.f)


STATE: dict[str, Any] = {}  #: the variable of the module that is being made


def carries(folder: Path) -> str:
    match = registry.choose(ModelDir.of(folder)).match
    assert match.trust is Trust.SAFE
    return match.carries


#: what makes as much as the number `n` says
MAKERS: dict[str, tuple[Body, str]] = {
    "fill": (lambda tf, n: tf.fill([n], 1.0), "Fill"),
    "range": (lambda tf, n: tf.range(n), "Range"),
    "one hot": (lambda tf, n: tf.one_hot([0], n), "OneHot"),
    "pad": (lambda tf, n: tf.pad([1.0], [[0, n]]), "Pad"),
    "tile": (lambda tf, n: tf.tile([1.0], [n]), "Tile"),
    "broadcast": (lambda tf, n: tf.broadcast_to(1.0, [n]), "BroadcastTo"),
    "random": (lambda tf, n: tf.random.uniform([n]), "RandomUniform"),
    "scatter": (lambda tf, n: tf.scatter_nd([[0]], [1.0], [n]), "ScatterNd"),
    "stitch": (lambda tf, n: tf.dynamic_stitch([[0], [n]], [[1.0], [2.0]]), "DynamicStitch"),
    "segments": (lambda tf, n: tf.math.segment_sum([1.0], [n]), "SegmentSum"),
    "sparse": (lambda tf, n: tf.raw_ops.SparseToDense(
        sparse_indices=[[0]], output_shape=[n], sparse_values=[1.0], default_value=0.0), "SparseToDense"),
    "list": (lambda tf, n: tf.raw_ops.TensorListReserve(
        element_shape=[1], num_elements=n, element_dtype=tf.float32), "TensorListReserve"),
    "loop": (lambda tf, n: tf.while_loop(lambda i: i < n, lambda i: (i + 1,), [0])[0], "While"),
    "loop until": (lambda tf, n: tf.while_loop(
        lambda i, value: value < 100, lambda i, value: (i + 1, value + n), [0, 0])[1], "While"),
    "data": (lambda tf, n: tf.data.Dataset.range(tf.cast(n, tf.int64)).reduce(
        tf.constant(0, tf.int64), lambda a, b: a + b), "RangeDataset"),
}  # fmt: skip


def _through_state(tf: Any, x: Any) -> Any:
    number = STATE["kept"].read_value()
    STATE["kept"].assign(x[0])
    return number


#: how a number of the request comes to where it decides
WAYS: dict[str, Body] = {
    "plain": lambda tf, x: x[0],
    "counted": lambda tf, x: tf.reduce_sum(tf.cast(x > 3, tf.int32)) * 1000,
    "function": lambda tf, x: tf.function(lambda a, b: (b, a))(x[0], 1)[1],
    "branch": lambda tf, x: tf.cond(tf.shape(x)[0] > 2, lambda: x[0], lambda: 1),
    "chosen": lambda tf, x: tf.cond(x[0] > 2, lambda: 1000, lambda: 1),
    "switch": lambda tf, x: tf.switch_case(tf.size(x) % 2, [lambda: 1, lambda: x[0]]),
    "carried": lambda tf, x: tf.while_loop(lambda i, a, b: i < 3, lambda i, a, b: (i + 1, b, b), [0, 1, x[0]])[1],
    "mapped": lambda tf, x: tf.map_fn(lambda each: each + 1, x)[0],
    "a list": lambda tf, x: tf.TensorArray(tf.int32, 1).write(0, x[0]).read(0),
    "the largest": lambda tf, x: tf.reduce_max(tf.unique(x).y),
    "a variable": _through_state,
}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_value_that_decides_is_found_whichever_way_it_comes(tmp_path: Path, maker: str) -> None:
    make, operation = MAKERS[maker]
    for number, (name, way) in enumerate(WAYS.items()):
        folder = saved(tmp_path / str(number), lambda tf, x, way=way: make(tf, way(tf, x)))
        found = carries(folder)
        assert found.startswith("lets the values of a request decide"), name
        assert operation in found, name


ORDINARY: dict[str, tuple[Body, str]] = {
    "arithmetic": (lambda tf, x: tf.nn.relu(x * 2.0 + 1.0), "float32"),
    "as large as what was sent": (lambda tf, x: x + tf.fill(tf.shape(x), 1.0), "float32"),
    "row by row": (lambda tf, x: tf.map_fn(lambda each: each * 2, x), "float32"),
    "a sum of each beginning": (lambda tf, x: tf.scan(lambda a, each: a + each, x), "float32"),
    "a branch": (lambda tf, x: tf.cond(tf.reduce_sum(x) > 0, lambda: x, lambda: -x), "float32"),
    "some of what was sent": (lambda tf, x: tf.boolean_mask(x, x > 0), "float32"),
    "distinct values": (lambda tf, x: tf.unique(x).y, "int32"),
    "a size of the file's": (lambda tf, x: tf.one_hot(x, 5), "int32"),
    "words of texts": (lambda tf, x: tf.strings.split(x).to_tensor(), "string"),
    "so many steps": (lambda tf, x: tf.while_loop(
        lambda i, value: i < tf.size(x), lambda i, value: (i + 1, value + x), [0, x])[1], "float32"),
}  # fmt: skip


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_graphs_stay_where_they_are(tmp_path: Path, name: str) -> None:
    body, dtype = ORDINARY[name]
    assert carries(saved(tmp_path / "m", body, dtype)) == ""


def test_what_a_short_text_unfolds_to_is_decided_by_it(tmp_path: Path) -> None:
    for number, (body, operation) in enumerate(
        [
            (lambda tf, x: tf.io.decode_png(x[0]), "DecodePng"),
            (lambda tf, x: tf.io.decode_compressed(x, "ZLIB"), "DecodeCompressed"),
            (lambda tf, x: tf.io.parse_tensor(x[0], tf.float32), "ParseTensor"),
            (lambda tf, x: tf.raw_ops.RegexReplace(input=x, pattern="a", rewrite=x[0]), "RegexReplace"),
        ]
    ):
        assert operation in carries(saved(tmp_path / str(number), body, "string"))


def _loop_of_tensorflow_1(tf: Any, limit: Callable[[Any], Any]) -> None:
    v1 = tf.compat.v1
    v1.disable_control_flow_v2()
    try:
        x = v1.placeholder(tf.int32, [None], name="x")
        end = limit(x)
        loop = v1.while_loop(lambda i, total: i < end, lambda i, total: (i + 1, total + x), [0, x])
        tf.identity(loop[1], name="y")
    finally:
        v1.enable_control_flow_v2()


def test_a_loop_of_tensorflow_1_is_followed(tmp_path: Path) -> None:
    for name, limit, found in (("values", lambda x: x[0], "LoopCond"), ("shape", None, "")):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "model.pb"
        models.frozen(path, lambda tf, limit=limit: _loop_of_tensorflow_1(tf, limit or tf.size))
        assert any(node.op == "NextIteration" for node in frozen_graph(path).nodes.values())
        assert carries(tmp_path / name) == sizes_of(found)


def test_an_input_that_an_option_names_is_one(tmp_path: Path) -> None:
    """A graph's own constant is no value of a request, unless requests give it."""

    def build(tf: Any) -> None:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        tf.multiply(tf.fill([tf.constant(2, name="size")], x[0]), 2.0, name="y")

    path = models.frozen(tmp_path / "model.pb", build)
    assert carries(tmp_path) == ""
    assert models.load(tmp_path).carries == ""
    assert "Fill" in models.load(tmp_path, inputs="x:0,size:0").carries
    assert path.is_file()


def test_a_keras_file_tells_as_it_is_loaded(tmp_path: Path) -> None:
    import keras

    x = keras.Input((), dtype="int32")
    keras.Model(x, keras.ops.bincount(x)).save(tmp_path / "model.keras")
    assert carries(tmp_path) == ""
    assert "decide how large" in models.load(tmp_path).carries


def test_a_recurrent_keras_file_stays(tmp_path: Path) -> None:
    import keras

    x = keras.Input((None, 4))
    keras.Model(x, keras.layers.LSTM(2)(keras.layers.Masking()(x))).save(tmp_path / "model.keras")
    assert models.load(tmp_path).carries == ""


def _function(calls: str, count: int) -> Function:
    nodes = tuple(Node(f"n{i}", "StatefulPartitionedCall", ("a",), (calls,)) for i in range(count))
    return Function(("a",), nodes, False, (), (("r", "n0:output:0"),))


def test_graphs_that_call_without_an_end_are_given_up() -> None:
    called = Node("call", "PartitionedCall", ("x",), ("f0",))
    graph = Graph({"x": Node("x", "Placeholder", (), ()), "call": called})
    graph.functions = {f"f{i}": _function(f"f{i + 1}", 2) for i in range(100)}
    assert sized_by_values(graph, ["call"], ["x"]) == "its functions call each other too deep"
    graph.functions = {"f0": _function("f0", 2)}
    assert sized_by_values(graph, ["call"], ["x"]) == ""


def test_a_graph_of_very_many_loops_is_given_up() -> None:
    """Each turn tells one more of the values that it hands on."""
    wide = 400
    names = [f"a{i}" for i in range(wide)]
    shift = tuple((f"r{i}", names[max(0, i - 1)]) for i in range(wide))
    graph = Graph({"x": Node("x", "Placeholder", (), ()), "c": Node("c", "Const", (), ())})
    graph.nodes["loop"] = Node("loop", "While", ("x", *["c"] * (wide - 1)), ("end", "body"))
    constant = Node("k", "Const", (), ())
    graph.functions = {
        "end": Function(tuple(names), (constant,), False, (), (("r", "k:output:0"),)),
        "body": Function(tuple(names), (constant,) * 200, False, (), shift),
    }
    graph.functions["body"] = Function(
        tuple(names), tuple(Node(f"k{i}", "Const", (), ()) for i in range(200)), False, (), shift
    )
    assert sized_by_values(graph, ["loop"], ["x"]) == "its loops and branches are too many to follow"
