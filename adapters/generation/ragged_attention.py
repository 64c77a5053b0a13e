"""Attention over sequences of any length that are packed in one row, each with a cache of its own.

One forward of the model takes the tokens of all sequences as one row [1, total]; only attention has to know whose is
whose. The linear layers see no padding, and sequences of one cache block share one call of attention.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from adapters.generation.kv_blocks import CacheBlock

#: the name that transformers knows it by
ATTENTION = "slots"

#: arguments of transformers' attention functions that change what comes out; all others only tell of the call
_UNHELD = ("sliding_window", "softcap", "s_aux", "position_bias", "cache", "head_mask", "alibi")


class NotHeld(Exception):
    """The model does what caches in slots cannot follow."""


@dataclass(eq=False, slots=True)
class DecodingRows:
    """Neighbouring rows of a block, with one token each: `positions` of them, at `start` of the packed row and on."""

    block: CacheBlock
    first: int
    positions: list[int]
    start: int
    _count: int = field(init=False)
    _longest: int = field(init=False)
    _mask: torch.Tensor | None = field(init=False, default=None)
    _places: dict[int, torch.Tensor] = field(init=False, default_factory=dict)  #: by number of heads

    def __post_init__(self) -> None:
        shape = self.block.shape
        self._count, self._longest = len(self.positions), max(self.positions) + 1
        if min(self.positions) + 1 < self._longest:
            filled = torch.tensor(self.positions, device=shape.device)
            beyond = torch.arange(self._longest, device=shape.device) > filled[:, None]
            mask = torch.zeros(beyond.shape, dtype=shape.dtype, device=shape.device)
            self._mask = mask.masked_fill_(beyond, float("-inf"))[:, None, None]

    @property
    def stop(self) -> int:
        return self.start + self._count

    def _place(self, heads: int) -> torch.Tensor:
        """Where the new tokens belong, in a layer's tensor seen as [rows * heads * capacity, size]."""
        if heads not in self._places:
            positions = torch.tensor(self.positions)
            rows = torch.arange(self.first, self.first + self._count)
            head = torch.arange(heads)
            place = (rows[:, None] * heads + head) * self.block.capacity + positions[:, None]
            self._places[heads] = place.reshape(-1).to(self.block.shape.device)
        return self._places[heads]

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> Any:
        """[heads, tokens, size] each; gives [tokens, heads, size].

        Queries of one key's head stand beside each other as if they were of several tokens: no key is repeated.
        """
        keys, values = self.block.keys[layer], self.block.values[layer]
        heads, count = key.shape[0], self._count
        place = self._place(heads)
        keys.view(-1, keys.shape[-1]).index_copy_(0, place, key.transpose(0, 1).reshape(count * heads, -1))
        values.view(-1, values.shape[-1]).index_copy_(0, place, value.transpose(0, 1).reshape(count * heads, -1))
        rows = slice(self.first, self.first + count)
        asked = query.transpose(0, 1).reshape(count, heads, -1, query.shape[-1])
        found = scaled_dot_product_attention(
            asked, keys[rows, :, : self._longest], values[rows, :, : self._longest], attn_mask=self._mask, scale=scale
        )
        return found.reshape(count, query.shape[0], -1)


@dataclass(eq=False, slots=True)
class PromptPart:
    """Some tokens of one prompt, `begin` to `end` of it, at `start` of the packed row and on."""

    block: CacheBlock
    row: int
    begin: int
    end: int
    start: int
    _mask: torch.Tensor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        count = self.end - self.begin
        if self.begin and count > 1:
            shape = self.block.shape
            ones = torch.ones((count, self.end), dtype=torch.bool, device=shape.device)
            mask = torch.zeros(ones.shape, dtype=shape.dtype, device=shape.device)
            self._mask = mask.masked_fill_(ones.triu_(self.begin + 1), float("-inf"))

    @property
    def stop(self) -> int:
        return self.start + self.end - self.begin

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> Any:
        """[heads, tokens, size] each; gives [tokens, heads, size]."""
        keys, values = self.block.keys[layer][self.row], self.block.values[layer][self.row]
        keys[:, self.begin : self.end] = key
        values[:, self.begin : self.end] = value
        found = scaled_dot_product_attention(
            query[None],
            keys[None, :, : self.end],
            values[None, :, : self.end],
            attn_mask=self._mask,
            is_causal=self.begin == 0 and self.end > 1,
            scale=scale,
            enable_gqa=query.shape[0] != key.shape[0],
        )
        return found[0].transpose(0, 1)


class RaggedPart(Protocol):
    """Neighbouring tokens of a packed row, `start` to `stop`, that attention sees together."""

    @property
    def start(self) -> int: ...

    @property
    def stop(self) -> int: ...

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> Any:
        """[heads, tokens, size] each; gives [tokens, heads, size]. Keys and values are kept."""


@dataclass(eq=False, slots=True)
class PackedRow:
    """One forward: whose tokens are where. `layers` collects which layers have asked for attention."""

    parts: Sequence[RaggedPart]
    layers: list[int] = field(default_factory=list)


class _Current(threading.local):
    row: PackedRow | None = None


_current = _Current()


def forward(model: Any, row: PackedRow, ids: Sequence[int], positions: Sequence[int], wanted: Sequence[int]) -> Any:
    """The logits after the `wanted` tokens of a packed row, in float32: [wanted, vocabulary].

    Raises:
        NotHeld: the model asks for an attention that there is none of here.
    """
    device = model.device
    places = torch.tensor(wanted, dtype=torch.long, device=device)
    _current.row = row
    try:
        answer = model(
            input_ids=torch.tensor([ids], device=device),
            position_ids=torch.tensor([positions], device=device),
            use_cache=False,
            logits_to_keep=places,
        )
    finally:
        _current.row = None
    logits = answer.logits[0]
    return (logits if len(logits) == len(wanted) else logits[places]).float()


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers' models call: [1, heads, tokens, size] each; gives [1, tokens, heads, size]."""
    row = _current.row
    if row is None:
        raise NotHeld("the model is asked by somebody else while an engine has it")
    unheld = [name for name in _UNHELD if others.get(name) is not None]
    if attention_mask is not None or unheld or not getattr(module, "is_causal", True):
        raise NotHeld(f"its attention has {', '.join(unheld) or 'a mask of its own'}")
    layer = module.layer_idx
    row.layers.append(layer)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    found = [
        part.attend(
            layer,
            query[0, :, part.start : part.stop],
            key[0, :, part.start : part.stop],
            value[0, :, part.start : part.stop],
            scale,
        )
        for part in row.parts
    ]
    return (found[0] if len(found) == 1 else torch.cat(found))[None], None


AttentionInterface.register(ATTENTION, attend)
