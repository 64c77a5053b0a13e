"""Keras files: `.keras` (a zip archive) and its older form in HDF5. Only Keras' own classes are ever built.

A Keras file names the classes and functions that it is made of. Those that are not Keras' own came with code that is
not in the file, and a Lambda layer's code is in the file: both get a reason that names the way out.
"""

from __future__ import annotations

import logging
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adapters.base import Array, LoadError, ModelDir
from adapters.formats import json_text, probe, zip_file
from adapters.tensorflow_.graph import graph_of
from adapters.tensorflow_.keras_objects import FUNCTIONS, LAYERS, OPERATIONS, PACKAGES, PARTS, TRAINING, VALUES
from adapters.tensorflow_.types import Entry, TensorflowPort, message_of, port, tensorflow
from adapters.tensorflow_.value_flow import sized_by_values

log = logging.getLogger(__name__)

HDF5 = b"\x89HDF\r\n\x1a\n"
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
#: bytes of a configuration that are read at most
_MAX_CONFIG = 64 << 20
#: an archive may unpack to this many times its size: weights hardly compress, zeros do
_MAX_RATIO, _SMALL = 50, 256 << 20

_EXPORT = "export it where it was made, with model.export(folder), and serve that folder"
#: layers that take a file's name for their words
_LOOKUPS = ("StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup")


_KNOWN = LAYERS | OPERATIONS | PARTS | TRAINING | VALUES
_CALLED = FUNCTIONS | PARTS  #: what is given as a function


def is_archive(model_dir: ModelDir, file: str) -> bool:
    """Whether the file is a zip archive as Keras writes them."""
    return {_CONFIG, _METADATA} <= set(probe.zip_names(model_dir, file))


def archive_problem(path: Path) -> str:
    """Why a `.keras` file cannot be served, in words that follow its name; "" when it can."""
    try:
        with zip_file.opened(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            unpacked = sum(entry.file_size for entry in entries.values())
            if unpacked > max(_SMALL, _MAX_RATIO * path.stat().st_size):
                return f"would unpack to {unpacked} bytes, which no model does"
            if _WEIGHTS not in entries:
                return f"is damaged: it holds no {_WEIGHTS}"
            if entries[_CONFIG].file_size > _MAX_CONFIG:
                return f"has a {_CONFIG} of {entries[_CONFIG].file_size} bytes, the limit is {_MAX_CONFIG}"
            return _config_problem(zip_file.contents(archive, _CONFIG))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, RuntimeError, NotImplementedError) as error:
        return f"is truncated or damaged: {error}"


def _config_problem(text: str | bytes) -> str:
    try:
        config = json_text.loads(text)
        if isinstance(config, dict):  # losses and metrics of the whole model, which serving does not make
            config = {key: value for key, value in config.items() if key != "compile_config"}
        return next(_foreign(config), "")
    except (ValueError, RecursionError) as error:
        return f"is damaged: its configuration is no JSON that can be read: {error}"


def _foreign(value: Any) -> Iterator[str]:
    """What in a configuration is not known to do nothing but compute, in words that follow the file's name."""
    if isinstance(value, list):
        for item in value:
            yield from _foreign(item)
    if not isinstance(value, dict):
        return
    if "class_name" in value:
        yield from _refusals(value)
    for item in value.values():
        yield from _foreign(item)


def _refusals(value: Mapping[str, Any]) -> Iterator[str]:
    """Those of one serialized object."""
    name = value["class_name"]
    if name in ("Lambda", "__lambda__"):
        yield f"holds a Lambda layer, whose Python code is not run: {_EXPORT}"
    elif not _is_keras(value):
        what = "function" if name == "function" else "class"
        named = value.get("registered_name") or name if what == "class" else value.get("config")
        yield f"is built of the custom {what} {named!r}, whose code is not in the file: {_EXPORT}"
    elif not _is_known(value):
        yield f"is built of Keras' {name!r}, which is not known to do nothing but compute: {_EXPORT}"
    elif name in _LOOKUPS and isinstance(value.get("config"), dict):
        vocabulary = value["config"].get("vocabulary")
        if isinstance(vocabulary, str):
            yield f"reads its vocabulary from the file {vocabulary!r}, which is not in the archive: {_EXPORT}"


def _is_keras(value: Mapping[str, Any]) -> bool:
    """Whether a serialized object says that it is one of Keras' own (older files say nothing)."""
    name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
    if name == "function":
        return module in (None, "builtins") and _is_one_of(value.get("config"), _CALLED)
    if module is None:
        return registered is None or ">" not in str(registered)
    return (module == "builtins" and _is_one_of(name, VALUES)) or str(module).split(".")[0] == "keras"


def _is_known(value: Mapping[str, Any]) -> bool:
    """Whether an object of Keras' own is listed, and stands where Keras has such objects."""
    name, module = value["class_name"], value.get("module")
    if name == "function":
        return True
    if not _is_one_of(name, _KNOWN):
        return False
    path = [part for part in str(module or "keras").split(".") if part not in ("keras", "src")]
    return module == "builtins" or not path or path[0] in PACKAGES


def _is_one_of(name: Any, names: frozenset[str]) -> bool:
    """A file may have anything in a name's place."""
    return isinstance(name, str) and name in names


def load(path: Path) -> tuple[list[Entry], str]:
    """The model's only signature; and the operation, if any, that makes as much of a request as its values say.

    Raises:
        LoadError: it cannot be loaded.
    """
    tf, keras = _modules()
    if path.suffix != ".keras" and (problem := _hdf5_problem(path)):
        raise LoadError(f"{path.name} {problem}")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        entry, sized = _entry(tf, keras, model)
        return [entry], sized
    except LoadError:
        raise
    except Exception as error:
        raise LoadError(f"Keras cannot load {path.name}: {message_of(error)}") from error


def _modules() -> tuple[Any, Any]:
    tf = tensorflow()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:  # somebody has used TensorFlow in this process before
        log.debug("TensorFlow's threads stay as they are: %s", error)
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    if keras.backend.backend() != "tensorflow":
        raise LoadError(f"Keras runs on {keras.backend.backend()} here: set KERAS_BACKEND=tensorflow")
    return tf, keras


def _hdf5_problem(path: Path) -> str:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
    except (OSError, RuntimeError) as error:
        return f"is truncated or damaged: {message_of(error)}"
    if config is None:
        return f"holds weights without their model: save the whole model, or {_EXPORT}"
    return _config_problem(config)


def _entry(tf: Any, keras: Any, model: Any) -> tuple[Entry, str]:
    inputs = list(getattr(model, "inputs", None) or ())
    if not inputs:
        raise LoadError("the model was saved before it was built: call it on data once, then save it")
    structure = getattr(model, "_inputs_struct", inputs[0] if len(inputs) == 1 else inputs)

    def call(*tensors: Any) -> Any:
        return keras.tree.flatten(model(keras.tree.pack_sequence_as(structure, tensors), training=False))

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in inputs]
    function = tf.function(call, input_signature=specs).get_concrete_function()
    names = _unique([tensor.name for tensor in inputs])
    taken = [
        port(name, tf.as_dtype(spec.dtype), spec.shape, f"input {name!r}")
        for name, spec in zip(names, specs, strict=True)
    ]
    given = _outputs(model, function.structured_outputs)

    def run(arrays: Sequence[Array]) -> list[Array]:
        values = function(*(tf.constant(array, spec.dtype) for array, spec in zip(arrays, specs, strict=True)))
        return [value.numpy() for value in values]

    return Entry("serving_default", tuple(taken), tuple(given), run), _sized(function, len(specs))


def _sized(function: Any, count: int) -> str:
    """As `GraphScan.sized`: Keras has the graph made; the first `count` of its inputs are the request's."""
    graph = graph_of(function.graph.as_graph_def().SerializeToString())
    return sized_by_values(graph, graph.nodes, [tensor.name for tensor in function.inputs[:count]])


def _outputs(model: Any, tensors: Sequence[Any]) -> list[TensorflowPort]:
    known = getattr(model, "output_names", None) or ()
    names = _unique(known if len(known) == len(tensors) else [f"output_{index}" for index in range(len(tensors))])
    return [
        port(name, tensor.dtype, tensor.shape, f"output {name!r}") for name, tensor in zip(names, tensors, strict=True)
    ]


def _unique(names: Sequence[str]) -> list[str]:
    """The names, with numbers behind those that come again."""
    return [name if name not in names[:index] else f"{name}_{index}" for index, name in enumerate(names)]
