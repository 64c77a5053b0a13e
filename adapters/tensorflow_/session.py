"""A graph in a `tf.compat.v1.Session`: how SavedModels and frozen graphs are run.

It is what TensorFlow Serving's own loader does, from the same records (signatures, saver, initializer), for models of
TensorFlow 1 and 2 alike, and a call costs half of what a restored `tf.function` takes; the values are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.base import Array
from adapters.tensorflow_.types import Entry, Run, TensorflowPort, tensor_of, tensorflow


@dataclass(frozen=True)
class Tensor:
    """A port of the graph, and the tensor that it stands for ("node:0")."""

    port: TensorflowPort
    tensor: str


def open_session() -> Any:
    """A session over an empty graph. A call runs on the thread that makes it, and on no other."""
    v1 = tensorflow().compat.v1
    config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=-1)
    config.use_per_session_threads = True
    config.gpu_options.allow_growth = True  # else TensorFlow takes all of a GPU's memory
    return v1.Session(graph=v1.Graph(), config=config)


def entry(session: Any, name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Entry:
    """A signature that runs in the session."""
    feeds, fetches = [each.tensor for each in inputs], [each.tensor for each in outputs]

    def unchecked() -> Run:
        from tensorflow.core.protobuf import config_pb2

        options = config_pb2.CallableOptions(feed=feeds, fetch=fetches)
        return _run(session._make_callable_from_options(options), outputs)

    run = _run(session.make_callable(fetches, feeds), outputs)
    return Entry(name, tuple(each.port for each in inputs), tuple(each.port for each in outputs), run, unchecked)


def _run(call: Callable[..., Sequence[Any]], outputs: Sequence[Tensor]) -> Run:
    datatypes = [each.port.datatype for each in outputs]

    def run(arrays: Sequence[Array]) -> list[Array]:
        return [tensor_of(value, datatype) for value, datatype in zip(call(*arrays), datatypes, strict=True)]

    return run
