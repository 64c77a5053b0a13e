"""Which models slots can hold: found out by running one, beside its own way of computing the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from adapters.generation.kv_blocks import CachePool, CacheShape, LayerShape, Occupant
from adapters.generation.ragged_attention import ATTENTION, DecodingRows, NotHeld, PackedRow, PromptPart, forward

#: rotations that depend on the longest sequence of a forward: each one's would depend on its neighbours
_ROTATIONS_OF_THE_LONGEST = {"dynamic", "longrope"}
#: how far logits may be from the model's own, relative to the largest one
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_TOLERANCE_OF_HALVES = 5e-2


def supports(model: Any) -> bool:
    """Whether `SlotEngine` can hold it; if not, `SequentialEngine` does. Runs the model a few times, on some tokens."""
    try:
        cache_shape(model)
    except NotHeld:
        return False
    return True


def cache_shape(model: Any) -> CacheShape:
    """What a cache of the model looks like.

    Raises:
        NotHeld: slots cannot hold this model, and why.
    """
    _refuse_by_configuration(model.config)
    size = model.config.get_text_config().vocab_size
    ids = [(17 + 31 * number) % size for number in range(7)]
    with torch.inference_mode():
        given = torch.tensor([ids], device=model.device)
        expected = model(input_ids=given, use_cache=False).logits[0].float()
        with slots_attention(model):
            try:
                shape = _shape_seen(model)
                found = _in_slots(model, shape, ids)
            except (RuntimeError, ValueError, TypeError, AttributeError) as error:
                raise NotHeld(f"it fails in slots: {error}") from error
    furthest = (found - expected).abs().max() / expected.abs().max().clamp_min(1e-9)
    if not furthest <= _TOLERANCE.get(shape.dtype, _TOLERANCE_OF_HALVES):
        raise NotHeld(f"its logits differ by {furthest:.1e} of the largest from those that it computes by itself")
    return shape


@contextmanager
def slots_attention(model: Any) -> Iterator[None]:
    """Meanwhile the model's attention is that of packed rows.

    Raises:
        NotHeld: it does not let its attention be set.
    """
    before = model.config._attn_implementation
    model.set_attn_implementation(ATTENTION)
    try:
        if model.config._attn_implementation != ATTENTION:
            raise NotHeld("its attention is its own and cannot be set")
        yield
    finally:
        model.set_attn_implementation(before)


def _refuse_by_configuration(config: Any) -> None:
    if config.is_encoder_decoder:
        raise NotHeld("it is an encoder with a decoder")
    text = config.get_text_config()
    others = set(getattr(text, "layer_types", None) or ()) - {"full_attention"}
    if others:
        raise NotHeld(f"it has layers of {', '.join(sorted(others))}")
    rotations = set(_rotations(getattr(text, "rope_parameters", None))) & _ROTATIONS_OF_THE_LONGEST
    if rotations:
        raise NotHeld(f"its positions are {', '.join(rotations)}, which depend on the longest sequence")


def _rotations(parameters: Any) -> Iterator[str]:
    if isinstance(parameters, Mapping):
        for name, value in parameters.items():
            if name == "rope_type":
                yield value
            yield from _rotations(value)


def _shape_seen(model: Any) -> CacheShape:
    """From the keys and values of one token."""
    seen: dict[int, LayerShape] = {}
    dtypes = set()

    class Watching:
        start, stop = 0, 1

        def attend(self, layer: int, query: Any, key: Any, value: Any, scale: float) -> Any:
            seen[layer] = LayerShape(key.shape[0], key.shape[-1], value.shape[-1])
            dtypes.add(key.dtype)
            return value.repeat_interleave(query.shape[0] // value.shape[0], 0).transpose(0, 1)

    row = PackedRow([Watching()])
    forward(model, row, [0], [0], [0])
    if not row.layers or sorted(row.layers) != list(range(model.config.get_text_config().num_hidden_layers)):
        raise NotHeld("not every layer of it has one attention")
    if len(dtypes) > 1:
        raise NotHeld("its layers have caches of several types")
    return CacheShape(tuple(seen[layer] for layer in sorted(seen)), dtypes.pop(), model.device)


class _Probe:
    def __init__(self) -> None:
        self.length = 0
        self.block: Any = None
        self.row = 0


def _in_slots(model: Any, shape: CacheShape, ids: list[int]) -> torch.Tensor:
    """The logits of the ids: three read at once, two more, the rest one by one beside a second sequence."""
    pool = CachePool(shape, 1 << 62)
    probe, neighbour = _Probe(), _Probe()
    found = []
    for begin, end in ((0, 3), (3, 5)):
        found.append(_read(model, pool, probe, ids, begin, end))
    _read(model, pool, neighbour, ids[::-1], 0, 2)
    members: list[Occupant] = [neighbour, probe]
    for each in members:
        pool.place_among_others(each, len(ids))
    for place in range(5, len(ids)):
        assert probe.block is not None
        rows = DecodingRows(probe.block, 0, [each.length for each in members], 0)
        row = PackedRow([rows])
        found.append(forward(model, row, [ids[0], ids[place]], [each.length for each in members], [1]))
        for each in members:
            each.length += 1
    return torch.cat(found)


def _read(model: Any, pool: CachePool, probe: Occupant, ids: list[int], begin: int, end: int) -> torch.Tensor:
    if probe.block is None:
        pool.place_alone(probe, len(ids))
    assert probe.block is not None
    row = PackedRow([PromptPart(probe.block, 0, begin, end, 0)])
    logits: torch.Tensor = forward(model, row, ids[begin:end], range(begin, end), range(end - begin))
    probe.length = end
    return logits
