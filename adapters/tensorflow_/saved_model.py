"""SavedModels: which folder, is it whole, what does it run, and loading it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from adapters.base import LoadError, ModelDir
from adapters.formats.protobuf import Malformed
from adapters.modeldir import inside
from adapters.tensorflow_.graph import MetaGraph, meta_graphs
from adapters.tensorflow_.scan import GraphScan, judge
from adapters.tensorflow_.session import Tensor, entry, open_session
from adapters.tensorflow_.types import Entry, message_of, port, tensorflow

log = logging.getLogger(__name__)

FILE = "saved_model.pb"
#: forms of the same file that are not read
_OTHER_FORMS = {
    "saved_model.pbtxt": "is a SavedModel as text: load it with TensorFlow and save it again",
    "saved_model.cpb": "is a SavedModel in chunks: TensorFlow cannot load it in this version",
}
_SERVE = "serve"
_MOST_ASSETS = 1000
#: records that are kept as signatures, but are none
_INTERNAL = ("__saved_model_init_op", "__saved_model_train_op")


def is_here(folder: ModelDir) -> bool:
    """Whether the folder itself holds a SavedModel, in a form that is served or in another."""
    return not {FILE, *_OTHER_FORMS}.isdisjoint(folder.files)


def contents(folder: ModelDir) -> GraphScan:
    """Look at a SavedModel's folder without TensorFlow."""
    if FILE not in folder.files:
        name = next(name for name in _OTHER_FORMS if name in folder.files)
        return GraphScan(f"{name} {_OTHER_FORMS[name]}")
    head = folder.head(FILE, 24)
    if not head:
        return GraphScan(f"{FILE} is empty")
    if head.startswith(b"version https://git-lfs."):
        return GraphScan(f"{FILE} is a Git LFS pointer, not the model: fetch the model with `git lfs pull`")
    status = folder.file(FILE).stat()
    read = _read(folder.file(FILE), status.st_size, status.st_mtime_ns)
    if isinstance(read, str):
        return GraphScan(read)
    return replace(judge(read), problem=_files_problem(folder, read))


@lru_cache(maxsize=4)
def _read(path: Path, size: int, changed: int) -> MetaGraph | str:
    """The graph to serve, or why there is none. A folder is looked at several times while it is loaded."""
    try:
        return _choose(meta_graphs(path))
    except Malformed as error:
        return f"{FILE} is truncated or damaged: {error}"
    except RecursionError:
        return f"{FILE} is damaged: its messages are nested too deep"
    except LoadError as error:
        return str(error)


def _choose(graphs: list[MetaGraph]) -> MetaGraph:
    """The only graph, or the one that is tagged for serving and nothing else."""
    serving = graphs if len(graphs) == 1 else [graph for graph in graphs if graph.tags == {_SERVE}]
    if not serving:
        tags = "; ".join(", ".join(sorted(graph.tags)) for graph in graphs)
        raise LoadError(
            f"{FILE} holds graphs with the tags {tags}: none is tagged {_SERVE!r} alone"
            if graphs
            else f"{FILE} is damaged, or no TensorFlow SavedModel: it holds no graph"
        )
    if not serving[0].graph.nodes:
        raise LoadError(f"{FILE} is a TensorFlow SavedModel whose graph is empty")
    return serving[0]


def _files_problem(folder: ModelDir, graph: MetaGraph) -> str:
    """What is wrong with the files beside the graph: a link that leads out, or one that is missing."""
    for name in ("variables", "assets"):
        if name in folder.outside:
            return f"{name} leads out of the models directory and is not followed"
        if name in folder.dirs and (outside := ModelDir.of(folder.path / name, folder.root).outside):
            return f"{name}/{outside[0]} leads out of the models directory and is not followed"
    files = dict.fromkeys(graph.assets.values())
    if len(files) > _MOST_ASSETS:
        return f"{FILE} names {len(files)} assets, more than the {_MOST_ASSETS} that a model may have"
    for file in files:
        path = folder.path / "assets" / file
        if Path(file).is_absolute() or ".." in Path(file).parts or not inside(path, folder.root):
            return f"{FILE} names the asset {file!r}, which leads out of the model's directory"
        if not path.is_file():
            return f"assets/{file} is missing: copy the assets folder beside {FILE}"
    index = folder.path / "variables" / "variables.index"
    if graph.restore and not index.is_file():
        return f"variables/variables.index is missing: copy the variables folder beside {FILE}"
    return ""


def load(folder: ModelDir) -> tuple[Any, list[Entry]]:
    """The session, and the model's signatures.

    Raises:
        LoadError: it cannot be loaded, or has no signature that can be served.
    """
    v1 = tensorflow().compat.v1
    tags = _choose(meta_graphs(folder.file(FILE))).tags
    session = open_session()
    try:
        with session.graph.as_default():
            meta = v1.saved_model.loader.load(session, sorted(tags), str(folder.path))
        return session, _entries(session, meta.signature_def)
    except LoadError:
        session.close()
        raise
    except Exception as error:
        session.close()
        raise LoadError(f"TensorFlow cannot load {folder.path.name}/{FILE}: {message_of(error)}") from error


def _entries(session: Any, signatures: Mapping[str, Any]) -> list[Entry]:
    found, refused = [], []
    for name in sorted(set(signatures) - set(_INTERNAL)):
        signature = signatures[name]
        try:
            inputs = list(_ports(session.graph, signature.inputs, f"signature {name!r}: input"))
            outputs = list(_ports(session.graph, signature.outputs, f"signature {name!r}: output"))
        except LoadError as error:
            refused.append(str(error))
            continue
        if outputs:
            found.append(entry(session, name, inputs, outputs))
    if not found:
        raise LoadError(
            "; ".join(refused)
            or "the model has no signature: save it with tf.saved_model.save(model, path, signatures=...), "
            "or a Keras model with model.export(path)"
        )
    for reason in refused:
        log.warning("not served: %s", reason)
    return found


def _ports(graph: Any, infos: Mapping[str, Any], where: str) -> Iterator[Tensor]:
    tf = tensorflow()
    for name in sorted(infos):
        info = infos[name]
        if info.WhichOneof("encoding") != "name":
            raise LoadError(f"{where} {name!r} is no plain tensor but a sparse or composite one: export dense tensors")
        shape = _shape(tf, graph, info)
        # a variable of TensorFlow 1 is a reference; what runs gives is its value
        yield Tensor(port(name, tf.as_dtype(info.dtype).base_dtype, shape, f"{where} {name!r}"), info.name)


def _shape(tf: Any, graph: Any, info: Any) -> Any:
    """The graph's own shape of a tensor, which is what runs; a signature may declare another, or none."""
    try:
        known = graph.get_tensor_by_name(info.name).shape
    except (KeyError, ValueError) as error:
        raise LoadError(f"{FILE} is damaged: its signature names {info.name!r}, which its graph lacks") from error
    declared = tf.TensorShape(info.tensor_shape if info.HasField("tensor_shape") else None)
    return declared if known.rank is None or _agree(known, declared) else known


def _agree(known: Any, declared: Any) -> bool:
    """Whether the signature says what the graph says, or more."""
    return declared.rank is not None and known.is_compatible_with(declared)
