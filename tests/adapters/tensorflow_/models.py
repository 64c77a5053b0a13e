"""Real models of TensorFlow's, one function each, and what TensorFlow itself answers for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from adapters import registry
from adapters.base import Adapter, ModelDir, Tensors


def load(folder: Path, **options: Any) -> Adapter:
    """The folder's model, chosen and loaded as the server does."""
    directory = ModelDir.of(folder)
    choice = registry.choose(directory)
    assert choice.adapter.name == "tensorflow"
    return choice.adapter.load(directory, choice.match.file, options)


def direct(folder: Path, inputs: Tensors, signature: str = "serving_default") -> Tensors:
    """What the restored concrete function gives, called without this server."""
    import tensorflow as tf

    function = tf.saved_model.load(str(folder)).signatures[signature]
    outputs = function(**{name: tf.constant(array) for name, array in inputs.items()})
    return {name: value.numpy() for name, value in outputs.items()}


def save(folder: Path, module: Any, **signatures: Any) -> Path:
    """A SavedModel of the module with these signatures."""
    import tensorflow as tf

    tf.saved_model.save(module, str(folder), signatures=signatures or None)
    return folder


def half_plus_two(folder: Path) -> Path:
    """TensorFlow Serving's own example as it is shipped: of TensorFlow 1, its shapes of unknown rank."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        x = v1.placeholder(tf.float32, name="x")
        a, b = v1.get_variable("a", initializer=0.5), v1.get_variable("b", initializer=2.0)
        y = tf.add(a * x, b, name="y")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), {"x": x}, {"y": y})
    return folder


def everything(folder: Path) -> Path:
    """Signatures of many kinds in one model."""
    import tensorflow as tf

    spec = tf.TensorSpec

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = tf.Variable([1.0, -1.0])

        @tf.function(input_signature=[spec([None, 2], tf.float32)])
        def rows(self, x: Any) -> Any:
            return {"y": x + self.bias}

        @tf.function(input_signature=[spec([None], tf.string)])
        def texts(self, text: Any) -> Any:
            return {"upper": tf.strings.upper(text), "raw_bytes": text, "length": tf.strings.length(text)}

        @tf.function(input_signature=[spec([2, 2], tf.float32), spec([], tf.int64)])
        def whole(self, matrix: Any, power: Any) -> Any:
            return {"result": matrix ** tf.cast(power, tf.float32), "total": tf.reduce_sum(matrix)}

        @tf.function(input_signature=[spec([None], tf.float32)])
        def logs(self, x: Any) -> Any:
            return {"log": tf.math.log(x)}

        @tf.function(input_signature=[spec([None], tf.int32)])
        def distinct(self, x: Any) -> Any:
            return {"values": tf.unique(x).y}

        @tf.function(input_signature=[spec([None, 2], tf.float32)])
        def centred(self, x: Any) -> Any:
            return {"y": x - tf.reduce_mean(x, 0)}

        @tf.function(input_signature=[spec([None], tf.string)])
        def pixels(self, image: Any) -> Any:
            decoded = tf.map_fn(tf.io.decode_png, image, fn_output_signature=tf.uint8)
            return {"mean": tf.reduce_mean(tf.cast(decoded, tf.float32), [1, 2, 3])}

        @tf.function(input_signature=[])
        def bias_now(self) -> Any:
            return {"bias": self.bias}

        @tf.function(input_signature=[spec([None], tf.float32)])
        def brain(self, x: Any) -> Any:
            return {"y": tf.cast(x, tf.bfloat16)}

    names = ("texts", "whole", "logs", "distinct", "centred", "pixels", "bias_now", "brain")
    module = Module()
    return save(folder, module, serving_default=module.rows, **{name: getattr(module, name) for name in names})


def every_dtype(folder: Path, names: tuple[str, ...]) -> Path:
    """One input and output of every type, each its own copy."""
    import tensorflow as tf

    specs = {name: tf.TensorSpec([None, 2], getattr(tf, name), name=name) for name in names}

    @tf.function
    def copy(**tensors: Any) -> Any:
        return {f"{name}_out": tf.identity(tensor) for name, tensor in tensors.items()}

    module = tf.Module()
    module.copy = copy.get_concrete_function(**specs)
    return save(folder, module, serving_default=module.copy)


def vocabulary(folder: Path, words: Path) -> Path:
    """Looks words up in a text file, which becomes an asset of the model."""
    import tensorflow as tf

    words.write_text("alpha\nbeta\ngamma\n")

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            whole_line, line_number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
            rows = tf.lookup.TextFileInitializer(str(words), tf.string, whole_line, tf.int64, line_number)
            self.table = tf.lookup.StaticHashTable(rows, -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def find(self, word: Any) -> Any:
            return {"id": self.table.lookup(word)}

    module = Module()
    return save(folder, module, serving_default=module.find)


def frozen(path: Path, build: Any) -> Path:
    """A GraphDef of what `build(tf)` adds to an empty graph."""
    import tensorflow as tf

    with tf.Graph().as_default() as graph:
        build(tf)
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def png(value: int) -> bytes:
    """An image of one colour."""
    import tensorflow as tf

    return bytes(tf.io.encode_png(np.full((2, 3, 1), value, np.uint8)).numpy())
