"""What Triton's `config.pbtxt` says of a program's tensors.

A TorchScript program has no names for its outputs, and few know those of its inputs: Triton counts them (`INPUT__0`),
and its clients send those names. Sizes leave the batch out where there is a `max_batch_size`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from adapters.formats import triton_config
from adapters.formats.triton_config import TritonTensor
from adapters.modeldir import ModelDir
from adapters.torch_.declared import DeclaredInput
from adapters.torch_.values import TORCH_NAMES


@dataclass(frozen=True)
class TritonTensors:
    """Inputs and outputs in the program's order; nothing where the file says nothing."""

    inputs: tuple[DeclaredInput, ...] = ()
    outputs: tuple[str, ...] = ()


def read(model_dir: ModelDir) -> TritonTensors:
    """What the file says, if it is there and can be read: beside the program, or above the folder of its version."""
    config = triton_config.read(model_dir)
    if config is None:
        return TritonTensors()
    inputs = [_input(each, config.batched) for each in config.inputs]
    outputs = [each.name for each in config.outputs]
    if not all(inputs) or not all(outputs):
        return TritonTensors()
    return TritonTensors(tuple(each for each in inputs if each), tuple(outputs))


def by_argument(inputs: Sequence[DeclaredInput], arguments: Sequence[str]) -> list[DeclaredInput]:
    """The inputs under the names of the program's arguments, in the inputs' order; [] where they do not fit them.

    Triton takes the arguments' own names, or names that end in two underscores and the argument's number.
    """
    if len(inputs) != len(arguments):
        return []
    names = [each.name for each in inputs]
    if set(names) != set(arguments):
        numbers = [name.rpartition("__")[2] for name in names]
        if sorted(numbers) != sorted(map(str, range(len(names)))):
            return []
        names = [arguments[int(number)] for number in numbers]
    return [replace(each, name=name) for each, name in zip(inputs, names, strict=True)]


def _input(tensor: TritonTensor, batched: bool) -> DeclaredInput | None:
    if not tensor.name or tensor.dims is None or tensor.datatype not in (*TORCH_NAMES, "BYTES"):
        return None
    return DeclaredInput(tensor.name, tensor.datatype, (-1, *tensor.dims) if batched else tensor.dims)
