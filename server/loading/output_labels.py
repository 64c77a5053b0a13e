"""What the values of a model's outputs are called, where Triton's settings beside it name a file of labels.

    output [ { name: "scores" label_filename: "labels.txt" } ]        config.pbtxt; the file has a label a line

Its clients ask for the largest values of an output by `classification`, and get the labels with them.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from adapters.base import ModelDir, Signature
from adapters.formats import triton_config

__all__ = ["with_labels"]

log = logging.getLogger("kserve")

_LIMIT = 1 << 22  #: bytes of a file of labels


def with_labels(signature: Signature, directory: ModelDir) -> Signature:
    """The signature, its outputs with the labels that the settings beside the model, or above its version, name."""
    config = triton_config.read(directory)
    files = {tensor.name: tensor.labels for tensor in config.outputs if tensor.labels} if config else {}
    if config is None or not files:
        return signature
    outputs = tuple(
        replace(spec, labels=_labels(config.place, files[spec.name])) if spec.name in files else spec
        for spec in signature.outputs
    )
    return replace(signature, outputs=outputs)


def _labels(place: ModelDir, path: str) -> tuple[str, ...]:
    folder, _, name = path.rpartition("/")
    try:
        return tuple(place.folder(folder).head(name, _LIMIT).decode(errors="replace").splitlines())
    except OSError as error:
        told = "%s names the labels %.200s, which cannot be read (%s): classes are told by their numbers alone"
        log.warning(told, triton_config.FILE, path, error)
        return ()
