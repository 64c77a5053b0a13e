"""Texts of any length in one call of a model, one behind the other, none of them padded.

The layers of the model see one row with the tokens of all texts, so each matrix is read once for all of them; only
attention has to know where a text ends, and texts of one length share a call of it. Measured with all-MiniLM-L6-v2 and
16 sentences of 6 to 11 tokens: 2.2 ms of the processor each, where a call for each length took 6.9, and the library's
padded batch 3.5. A classifier's head is given the first token of each text, which is what most of them read.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from adapters.huggingface_.packed_mpnet import biased_attention_of
from adapters.huggingface_.packed_runs import NotPacked, current, packed, runs

#: the name that transformers knows this attention by, and the one that it stands for
ATTENTION, _ORDINARY = "packed", "sdpa"
#: arguments of transformers' attention functions that change what comes out; all others only tell of the call
_UNHELD = ("sliding_window", "softcap", "s_aux", "position_bias", "cache", "head_mask", "alibi")
#: how far outputs may be from the model's own, relative to the largest
_TOLERANCE, _TOLERANCE_OF_HALVES = 1e-4, 5e-2
#: tokens of the rows that a model is tried with
_TRIED = (3, 5, 5, 2, 21)

Features = Mapping[str, list[int]]


@dataclass(frozen=True, slots=True)
class Packing:
    """How one model takes them. May be used from several threads at once."""

    model: Any
    output: str  #: which of the model's outputs counts
    first: bool = False  #: it is of each row's first token, not of every token
    #: the token that has no position of its own: those of the others are counted from behind it; None: from 0
    padding: int | None = None

    def run(self, rows: Sequence[Features]) -> list[torch.Tensor]:
        """Of each row [1, tokens, size], or [1, size] where its first token counts; float32 on the CPU.

        Rows of one length that are neighbours share calls. One alone goes the model's own way, without positions.
        """
        names = [name for name in rows[0] if name != "attention_mask"]
        device = self.model.device
        batch = {name: torch.tensor([[value for row in rows for value in row[name]]], device=device) for name in names}
        if len(rows) > 1:
            positions = torch.cat([self._positions(row["input_ids"]) for row in rows])
            batch["position_ids"] = positions[None].to(device)
        lengths = [len(row["input_ids"]) for row in rows]
        with torch.inference_mode(), packed(lengths, self.first):
            answer = self.model(**batch, return_dict=True)[self.output].float().cpu()
        return list(answer.split(1)) if self.first else [each[None] for each in answer[0].split(lengths)]

    def _positions(self, ids: list[int]) -> torch.Tensor:
        if self.padding is None:
            return torch.arange(len(ids))
        counted = torch.tensor(ids) != self.padding
        return counted.cumsum(0) * counted + self.padding


def packing_of(
    model: Any, output: str, inputs: frozenset[str], *, vocabulary: int, longest: int, padding: int | None = None
) -> Packing | None:
    """How the model takes packed rows, or None where it does not; found out by running it, beside its own way.

    `vocabulary` and `longest` say what it takes: tokens, and rows of so many; `padding` is as in `Packing`. From then
    on the model's attention is that of packed rows, and it is to be called by them alone.
    """
    attention = _attention_of(model)
    if attention is None or not vocabulary or not _takes_positions(model):
        return None
    rows = list(_examples(inputs, vocabulary, longest, padding))
    with torch.inference_mode():
        expected = [_alone(model, output, row) for row in (*rows, rows[0])]
    packing = Packing(model, output, first=expected[0].ndim == 2, padding=padding)
    if packing.first and model.base_model is model:
        return None
    heads = model.base_model.register_forward_hook(_first_tokens) if packing.first else None
    try:
        attention.take()
        found = [*packing.run(rows), *packing.run(rows[:1])]
    except (NotPacked, RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError):
        found = []
    if len(found) == len(expected) and all(map(partial(_close, dtype=model.dtype), found, expected)):
        return packing
    if heads is not None:
        heads.remove()
    attention.leave()
    return None


class _Attention(Protocol):
    """How the attention of one model comes to be that of packed rows, and its own again."""

    def take(self) -> None: ...

    def leave(self) -> None: ...


@dataclass(frozen=True)
class _ByName:
    """Models that have their attention from transformers' table."""

    model: Any

    def take(self) -> None:
        self.model.set_attn_implementation(ATTENTION)

    def leave(self) -> None:
        self.model.set_attn_implementation(_ORDINARY)


def _attention_of(model: Any) -> _Attention | None:
    return _ByName(model) if model.config._attn_implementation == _ORDINARY else biased_attention_of(model)


def _takes_positions(model: Any) -> bool:
    """A head may hand them on to its model among all else that it is given."""
    taken = inspect.signature(model.forward).parameters.values()
    return any(each.name == "position_ids" or each.kind is each.VAR_KEYWORD for each in taken)


def _first_tokens(base: Any, _: Any, answer: Any) -> Any:
    """Of packed rows a head is given the first token of each, and what the model's pooler makes of those."""
    if not current.starts:
        return answer
    states = answer["last_hidden_state"][0, current.starts][:, None]
    answer["last_hidden_state"] = states
    if answer.get("pooler_output") is not None:
        answer["pooler_output"] = _pooled(base, states)
    return answer


def _pooled(base: Any, states: torch.Tensor) -> Any:
    if isinstance(base.pooler, torch.nn.Linear):  # ALBERT's picks no token, and ends elsewhere
        return base.pooler_activation(base.pooler(states[:, 0]))
    return base.pooler(states)


def _examples(inputs: frozenset[str], vocabulary: int, longest: int, padding: int | None) -> Iterator[Features]:
    token = 5
    for length in _TRIED:
        ids: list[int] = []
        while len(ids) < min(length, longest):
            token = (token + 31) % vocabulary
            ids.append(token)
        if padding is not None and len(ids) > 1:
            ids[1] = padding % vocabulary  # a text may spell it out
        known = {"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": [0] * len(ids)}
        yield {name: values for name, values in known.items() if name in inputs}


def _alone(model: Any, output: str, row: Features) -> torch.Tensor:
    batch = {name: torch.tensor([values], device=model.device) for name, values in row.items()}
    answer: torch.Tensor = model(**batch, return_dict=True)[output].float().cpu()
    return answer


def _close(found: torch.Tensor, expected: torch.Tensor, dtype: torch.dtype) -> bool:
    if found.shape != expected.shape:
        return False
    bound = _TOLERANCE if dtype.itemsize >= torch.float32.itemsize else _TOLERANCE_OF_HALVES
    return bool((found - expected).abs().max() <= bound * expected.abs().max().clamp_min(1e-9))


def attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers' models call: [1, heads, total, size] each; gives [1, total, heads, size]."""
    given = runs()
    if attention_mask is not None or any(others.get(name) is not None for name in _UNHELD):
        raise NotPacked("the model's attention has a mask or a bias of its own")
    causal = others.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    found = [
        scaled_dot_product_attention(
            run.of(query),
            run.of(key),
            run.of(value),
            scale=scaling,
            is_causal=bool(causal) and run.length > 1,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        .transpose(1, 2)
        .flatten(0, 1)
        for run in given
    ]
    return (found[0] if len(found) == 1 else torch.cat(found))[None], None


AttentionInterface.register(ATTENTION, attend)
