"""Which inputs a TorchScript program may take, guessed from its layers; the program itself says which one it does.

A weight tells the width of what goes into its layer, an embedding that its input is whole numbers. What has been tried
on a trace is in the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from adapters.torch_.declared import DeclaredInput
from adapters.torch_.trial import MAX_ELEMENTS, Slot
from adapters.torch_.values import datatype_of

#: sizes of images, lengths of series: the usual ones first
_SIZES = (32, 28, 64, 224, 8, 16, 1, 2, 3, 4, 5, 6, 7, 10, 12, 14, 20, 24, 40, 48, 50, 56, 84, 96, 100, 112, 128, 256,
          299, 384, 512)  # fmt: skip
#: columns of a table that no layer tells of
_WIDTHS = (*range(1, 65), 96, 100, 128, 256, 300, 384, 512, 768, 784, 1024)
#: combinations of several inputs
_MOST = 2000
_FEW = 12


@dataclass(frozen=True)
class _Hint:
    """A row's datatype and sizes; 0 is a size that nothing tells."""

    datatype: str
    sizes: tuple[int, ...]


#: rows of a program without weights: columns, or a number alone
_OF_ONE = [_Hint(datatype, sizes) for datatype in ("FP32", "INT64", "BOOL") for sizes in ((1,), ())]


def candidates(module: Any, ports: Sequence[DeclaredInput]) -> Iterator[tuple[Slot, ...]]:
    """Inputs to try, the likeliest first; what the ports declare is kept."""
    hints = list(dict.fromkeys(_hints(module)))
    if len(ports) > 1 and next(_weights(module), None) is None:  # nothing tells: a row of one may be a number of others
        yield from islice(product(*(_slots(port, _OF_ONE, _SIZES[:1]) for port in ports)), _MOST)
    yield from islice(zip(*(_slots(port, hints, _SIZES) for port in ports), strict=False), _MOST)  # the same for all
    if len(ports) > 1:
        plain = sorted(hints[:_FEW], key=lambda hint: len(hint.sizes))  # one number a row before many
        kinds = [[*_slots(port, plain, _SIZES[:1]), *_as_mask(port, plain)] for port in ports]
        yield from islice(product(*kinds), _MOST)


def _as_mask(port: DeclaredInput, hints: list[_Hint]) -> Iterator[Slot]:
    """The same sizes as truth values, for an input that is called a mask."""
    if "mask" in port.name.lower() and not port.datatype:
        yield from _slots(
            port, list(dict.fromkeys(_Hint("BOOL", hint.sizes) for hint in hints if hint.sizes)), _SIZES[:1]
        )


def _slots(port: DeclaredInput, hints: list[_Hint], lengths: Sequence[int]) -> Iterator[Slot]:
    if port.dims is not None:
        free = tuple(size == -1 for size in port.dims)
        datatypes = [port.datatype] if port.datatype else list(dict.fromkeys(hint.datatype for hint in hints))
        for size, datatype in product(lengths if any(free[1:]) else lengths[:1], datatypes or ["FP32"]):
            sizes = tuple(known if known != -1 else size if axis else 2 for axis, known in enumerate(port.dims))
            yield Slot(port.name, datatype, sizes, free)
        return
    if port.datatype == "BYTES":
        yield Slot(port.name, "BYTES", (2,))
        return
    for hint in hints:
        if port.datatype in ("", hint.datatype) or (port.datatype[0] == "F") == (hint.datatype[0] == "F"):
            for size in lengths if 0 in hint.sizes else (1,):
                sizes = (2, *(known or size for known in hint.sizes))
                if math.prod(sizes) <= MAX_ELEMENTS:
                    yield Slot(port.name, port.datatype or hint.datatype, sizes)


def _hints(module: Any) -> Iterator[_Hint]:
    """What the layers tell, in their order; then tables and images of numbers, then whole numbers."""
    floating = "FP32"
    for kind, weight in _weights(module):
        if weight.is_floating_point():
            floating = datatype_of(weight.dtype) if floating == "FP32" else floating
            yield from _of_layer(kind, tuple(weight.shape), floating)
    yield from (_Hint(floating, (width,)) for width in _WIDTHS)
    yield from (_Hint("INT64", (0,)), _Hint("INT64", ()), _Hint(floating, ()))
    yield from (_Hint(floating, (channels, 0, 0)) for channels in (3, 1))
    yield from (_Hint(floating, (width, width)) for width in _WIDTHS[:16])


def _weights(module: Any) -> Iterator[tuple[str, Any]]:
    """Every layer's kind and weight; of a frozen program its constants."""
    found = False
    for _, layer in module.named_modules():
        for _, parameter in islice(layer.named_parameters(recurse=False), 2):
            found = True
            yield getattr(layer, "original_name", ""), parameter
    if not found:
        graph = module.inlined_graph  # held: its nodes do not outlive it
        for node in graph.findAllNodes("prim::Constant"):
            value = node.output().toIValue()
            if hasattr(value, "is_floating_point") and value.ndim > 1:
                yield "", value


def _of_layer(kind: str, shape: tuple[int, ...], floating: str) -> Iterator[_Hint]:
    if kind.startswith("Embedding"):
        yield from (_Hint("INT64", (0,)), _Hint("INT64", ()))
    elif len(shape) in (3, 4, 5):  # a convolution's: outputs, inputs of a group, its window
        spatial = (0,) * (len(shape) - 2)
        channels = (shape[0], shape[1]) if shape[1] == 1 or "Transpose" in kind else (shape[1],)
        yield from (_Hint(floating, (count, *spatial)) for count in reversed(channels))
    elif kind in ("LSTM", "GRU", "RNN") and len(shape) == 2:
        yield from (_Hint(floating, (0, shape[1])), _Hint(floating, (shape[1],)))
    elif len(shape) == 2:
        yield from (_Hint(floating, (shape[1],)), _Hint(floating, (0, shape[1])), _Hint(floating, (shape[0],)))
        if not kind:  # a frozen program's, which may be an embedding's
            yield _Hint("INT64", (0,))
    elif len(shape) == 1 and kind.startswith(("BatchNorm", "InstanceNorm", "GroupNorm", "PReLU")):
        yield from (_Hint(floating, (shape[0], *rest)) for rest in ((), (0, 0), (0,)))
    elif len(shape) == 1:
        yield _Hint(floating, (shape[0],))
