"""Which graphs touch more than numbers: found in the bytes, where serving runs it, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir, Trust
from adapters.tensorflow_.graph import Node
from adapters.tensorflow_.scan import is_offence
from tests.adapters.tensorflow_ import models

pytestmark = pytest.mark.slow  # TensorFlow alone takes seconds to import


def trust_of(folder: Path) -> tuple[Trust, str]:
    match = registry.choose(ModelDir.of(folder)).match
    return match.trust, match.carries


def of_function(folder: Path, body: Callable[[Any, Any], Any]) -> Path:
    """A SavedModel whose only signature is `body(tf, text)`."""
    import tensorflow as tf

    module = tf.Module()
    module.f = tf.function(lambda text: {"y": body(tf, text)}, input_signature=[tf.TensorSpec([], tf.string)])
    return models.save(folder, module, serving_default=module.f)


def write(tf: Any, text: Any) -> Any:
    with tf.control_dependencies([tf.io.write_file("/tmp/x", text)]):
        return tf.identity(text)


def deep(tf: Any, text: Any) -> Any:
    """Reads a file in a function, in a branch, in a loop."""
    read = tf.function(lambda name: tf.io.read_file(name))
    choose = tf.function(lambda name: tf.cond(tf.strings.length(name) > 3, lambda: read(name), lambda: name))
    return tf.while_loop(lambda i, name: i < 2, lambda i, name: (i + 1, choose(name)), [0, text])[1]


def saved(tf: Any, text: Any) -> Any:
    with tf.control_dependencies(
        [tf.raw_ops.SaveV2(prefix=text, tensor_names=["a"], shape_and_slices=[""], tensors=[1])]
    ):
        return tf.identity(text)


def printed(tf: Any, text: Any) -> Any:
    with tf.control_dependencies([tf.print(text, output_stream="file:///tmp/x")]):
        return tf.identity(text)


HOSTILE: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "read": (lambda tf, text: tf.io.read_file(text), "ReadFile"),
    "write": (write, "WriteFile"),
    "list": (lambda tf, text: tf.io.matching_files(text), "MatchingFiles"),
    "python": (lambda tf, text: tf.py_function(lambda x: x, [text], tf.string), "PyFunc"),
    "save": (saved, "SaveV2"),
    "restore": (lambda tf, text: tf.raw_ops.RestoreV2(
        prefix=text, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.int32])[0], "RestoreV2"),
    "deep": (deep, "ReadFile"),
    "print": (printed, "PrintV2"),
    "lines": (lambda tf, text: tf.data.TextLineDataset(text).reduce(
        tf.constant(0), lambda n, _: n + 1), "TextLineDataset"),
    "mapped": (lambda tf, text: tf.map_fn(tf.io.read_file, tf.reshape(text, [1])), "ReadFile"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_an_operation_that_touches_files_needs_trust(tmp_path: Path, name: str) -> None:
    body, operation = HOSTILE[name]
    trust, carries = trust_of(of_function(tmp_path / "m", body))
    assert trust is Trust.CODE
    assert operation in carries


def harmless(tf: Any, text: Any) -> Any:
    with tf.control_dependencies([tf.debugging.assert_non_negative(1)]):
        return tf.strings.upper(text)


def telling(tf: Any, text: Any) -> Any:
    with tf.control_dependencies([tf.print("a text", text)]):
        return tf.strings.upper(text)


def test_a_model_that_prints_is_served_by_a_worker(tmp_path: Path) -> None:
    """Its lines hold what clients send: there the log tells them from the server's own."""
    assert trust_of(of_function(tmp_path / "m", telling)) == (
        Trust.SAFE,
        "writes what it is given into the log: PrintV2",
    )


def test_an_ordinary_model_needs_none(tmp_path: Path) -> None:
    """Its saver's operations, which nobody runs, write files all the same."""
    for folder in (
        of_function(tmp_path / "a", harmless),
        models.half_plus_two(tmp_path / "b"),
        models.everything(tmp_path / "c"),
        models.vocabulary(tmp_path / "d", tmp_path / "words"),
    ):
        assert b"SaveV2" in (folder / "saved_model.pb").read_bytes()
        unfolds = "decide how large" if folder.name == "c" else ""  # one of its signatures decodes images
        trust, carries = trust_of(folder)
        assert trust is Trust.SAFE
        assert bool(carries) == bool(unfolds)
        assert unfolds in carries


def test_a_table_from_a_file_that_is_no_asset(tmp_path: Path) -> None:
    """The path is a constant of the graph's instead of the asset's."""
    models.vocabulary(tmp_path / "m", tmp_path / "words")
    file = tmp_path / "m" / "saved_model.pb"
    proto = parsed(file)
    del proto.meta_graphs[0].asset_file_def[:]
    file.write_bytes(proto.SerializeToString())
    trust, carries = trust_of(tmp_path / "m")
    assert trust is Trust.CODE
    assert "InitializeTableFromTextFileV2" in carries


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "gone.txt"])
def test_an_asset_outside_or_missing(tmp_path: Path, name: str) -> None:
    models.vocabulary(tmp_path / "m", tmp_path / "words")
    file = tmp_path / "m" / "saved_model.pb"
    proto = parsed(file)
    proto.meta_graphs[0].asset_file_def[0].filename = name
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(LoadError, match=r"leads out of the model's directory|is missing"):
        registry.choose(ModelDir.of(tmp_path / "m"))


def test_an_initializer_that_writes(tmp_path: Path) -> None:
    """The saver's writing half, made what runs when the model is loaded."""
    models.half_plus_two(tmp_path / "m")
    file = tmp_path / "m" / "saved_model.pb"
    proto = parsed(file)
    graph = proto.meta_graphs[0]
    graph.collection_def["saved_model_main_op"].node_list.value.append(graph.saver_def.save_tensor_name)
    file.write_bytes(proto.SerializeToString())
    trust, carries = trust_of(tmp_path / "m")
    assert trust is Trust.CODE
    assert "SaveV2" in carries


def test_a_restore_that_saves(tmp_path: Path) -> None:
    models.half_plus_two(tmp_path / "m")
    file = tmp_path / "m" / "saved_model.pb"
    proto = parsed(file)
    saver = proto.meta_graphs[0].saver_def
    saver.restore_op_name = saver.save_tensor_name.partition(":")[0]
    file.write_bytes(proto.SerializeToString())
    assert trust_of(tmp_path / "m")[0] is Trust.CODE


def test_a_function_that_the_optimizer_may_swap_in(tmp_path: Path) -> None:
    of_function(tmp_path / "m", lambda tf, text: tf.function(tf.strings.upper)(text))
    file = tmp_path / "m" / "saved_model.pb"
    proto = parsed(file)
    function = proto.meta_graphs[0].graph_def.library.function.add()
    function.signature.name = "other"
    function.node_def.add(name="r", op="ReadFile")
    file.write_bytes(proto.SerializeToString())
    assert trust_of(tmp_path / "m")[0] is Trust.SAFE
    function.attr["api_implements"].s = b"upper"
    file.write_bytes(proto.SerializeToString())
    assert trust_of(tmp_path / "m")[0] is Trust.CODE


def test_dense_arithmetic_is_steady(tmp_path: Path) -> None:
    """It may be called on the event loop; what loops, waits or works on texts may not."""
    import keras

    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu")]).export(tmp_path / "dense")
    models.frozen(tmp_path / "model.pb", lambda tf: tf.square(tf.compat.v1.placeholder(tf.float32, [None]), "y"))
    assert models.load(tmp_path / "dense").traits.steady
    assert models.load(tmp_path).traits.steady
    (tmp_path / "free").mkdir()
    models.frozen(
        tmp_path / "free" / "model.pb", lambda tf: tf.square(tf.compat.v1.placeholder(tf.float32, [None] * 2), "y")
    )
    assert not models.load(tmp_path / "free").traits.steady  # how long a row takes is for requests to say
    assert not models.load(of_function(tmp_path / "text", lambda tf, text: tf.strings.upper(text))).traits.steady


def test_of_several_graphs_the_one_for_serving_counts(tmp_path: Path) -> None:
    folder = models.half_plus_two(tmp_path / "m")
    proto = parsed(folder / "saved_model.pb")
    other = proto.meta_graphs.add()
    other.CopyFrom(proto.meta_graphs[0])
    other.meta_info_def.tags.append("tpu")
    (folder / "saved_model.pb").write_bytes(proto.SerializeToString())
    assert models.load(folder).signature.batched
    proto.meta_graphs[0].meta_info_def.tags[:] = ["train"]
    (folder / "saved_model.pb").write_bytes(proto.SerializeToString())
    with pytest.raises(LoadError, match=r"tags train; serve, tpu: none is tagged 'serve' alone"):
        registry.choose(ModelDir.of(folder))


def test_an_operation_of_another_package_is_named(tmp_path: Path) -> None:
    folder = models.half_plus_two(tmp_path / "m")
    proto = parsed(folder / "saved_model.pb")
    proto.meta_graphs[0].graph_def.node.add(name="pieces", op="SentencepieceOp")
    (folder / "saved_model.pb").write_bytes(proto.SerializeToString())
    with pytest.raises(LoadError, match=r"needs the operation 'SentencepieceOp'"):
        models.load(folder)


def test_a_frozen_graph_that_reads(tmp_path: Path) -> None:
    def build(tf: Any) -> None:
        tf.io.read_file(tf.compat.v1.placeholder(tf.string, [], "name"), name="y")

    models.frozen(tmp_path / "model.pb", build)
    trust, carries = trust_of(tmp_path)
    assert trust is Trust.CODE
    assert "ReadFile" in carries


def test_every_known_operation_of_these_families_is_judged() -> None:
    """Of TensorFlow's own list of operations: all that take the name of a file."""
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    known = op_def_pb2.OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    files = {each.name for each in known.op for arg in each.input_arg if "file" in arg.name or "prefix" in arg.name}
    judged = {name for name in files if is_offence(Node("n", name, (), ()))}
    tame = {"ShardedFilename", "SetStatsAggregatorDataset", "ExperimentalSetStatsAggregatorDataset"}  # names alone
    assert files - judged - tame == set()
    assert {"ReadFile", "WriteFile", "RestoreV2", "SaveV2", "TFRecordDatasetV2", "MergeV2Checkpoints"} <= judged


def parsed(file: Path) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2

    return saved_model_pb2.SavedModel.FromString(file.read_bytes())
