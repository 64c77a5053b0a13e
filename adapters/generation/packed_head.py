"""The matrix from a model's last states to the logits of its vocabulary, in the order that oneDNN multiplies it in.

It is the largest of all, and for a few rows MKL takes most of its time to bring it into an order of its own, in every
step anew. Measured with SmolLM2's (49,152 x 576 in float32), one thread's processor time for 4, 8, 16 and 32 rows: 35,
69, 42 and 48 ms, and packed 15, 26, 22 and 32. A row by itself is no faster packed, and goes the usual way. The copy
takes as many bytes as the matrix. Of all else in a step of 8 sequences, four fifths are the other matrices' products.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

#: numbers in a matrix that is worth a copy
_LEAST = 1 << 20
#: how far packed logits may be from the matrix's own, relative to the largest
_TOLERANCE = 1e-4
_TRIED = 3  #: rows


@contextmanager
def packed_head(model: Any) -> Iterator[None]:
    """Until it is left, logits of several rows are made by a packed copy, where that can be had and is worth it."""
    head = model.get_output_embeddings()
    packed = _packed(head)
    if packed is None:
        yield
        return
    usual = head.forward

    def forward(states: torch.Tensor) -> torch.Tensor:
        rows = states.flatten(0, -2)
        return usual(states) if len(rows) < 2 else _times(rows, packed, head.bias).unflatten(0, states.shape[:-1])

    head.forward = forward
    try:
        yield
    finally:
        del head.forward  # that of its class is back


def _times(rows: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    made: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows, packed, bias, "none", [], "")
    return made


def _packed(head: Any) -> torch.Tensor | None:
    """A copy whose products have been compared with the matrix's own; None: there is none, or it is not worth it."""
    if type(head) is not torch.nn.Linear or not torch.backends.mkldnn.is_available():
        return None
    weight = head.weight
    if weight.dtype != torch.float32 or weight.device.type != "cpu" or weight.numel() < _LEAST:
        return None
    with torch.inference_mode():
        rows = torch.linspace(-1, 1, _TRIED * weight.shape[1]).sin().reshape(_TRIED, -1)
        expected = head(rows)
        try:
            packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach())
            made = _times(rows, packed, head.bias)
        except (AttributeError, RuntimeError):  # another build of PyTorch, another processor, or no memory for a copy
            return None
        close = (made - expected).abs().max() <= _TOLERANCE * expected.abs().max().clamp_min(1e-9)
    return packed if close else None
