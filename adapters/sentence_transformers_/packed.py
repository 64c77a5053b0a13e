"""The library's modules over rows of any length in one call of the transformer, none of them padded.

The transformer sees all rows as one (`adapters.huggingface_.packed_rows`). What comes behind it (a pooling, dense
layers) is the library's own, asked with rows of one length at a time. Measured with 16 short sentences through
all-MiniLM-L6-v2, processor time of each, with a call for each length and so: 7.5 and 3.6 ms behind a dense layer, 11.6
and 6.6 as a model of pairs.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from adapters.base import InvalidInput
from adapters.huggingface_.loading import packing_for
from adapters.shared.texts import portions

if TYPE_CHECKING:
    from adapters.huggingface_.packed_rows import Packing

__all__ = ["PackedModules", "packed_modules"]

#: tokens in one call of the transformer, as in the Hugging Face adapter: on a CPU more is no faster and costs memory
_CALL_TOKENS = 1024
#: outputs of transformers' models that a Transformer module may pass on
_OUTPUTS = ("last_hidden_state", "logits")
#: modules that need nothing of the features but what the transformer has made, and the mask
_BEHIND = ("Pooling", "Normalize", "Dense", "LayerNorm", "Dropout", "SpladePooling")
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})


@dataclass(frozen=True)
class PackedModules:
    """May be used from several threads at once."""

    packing: Packing
    inputs: frozenset[str]
    name: str  #: what the transformer's output is called among the features
    rest: Sequence[Any]  #: the modules behind the transformer

    def __call__(self, features: Mapping[str, Any]) -> Iterator[tuple[list[int], dict[str, Any]]]:
        """(indices of rows, what the modules make of them), of padded rows as the library's `preprocess` gives them.

        Raises:
            InvalidInput: a row has no tokens.
        """
        mask = features["attention_mask"].bool()
        lengths = mask.sum(1).tolist()
        if 0 in lengths:
            raise InvalidInput(f"text[{lengths.index(0)}] has no tokens: send a text that is not empty")
        columns = {name: features[name] for name in self.inputs if name in features}
        ordered = sorted(range(len(lengths)), key=lengths.__getitem__)
        for some in portions([lengths[index] for index in ordered], _CALL_TOKENS):
            pack = [ordered[place] for place in some]
            rows = [{name: values[i][mask[i]].tolist() for name, values in columns.items()} for i in pack]
            made = iter(self.packing.run(rows))
            for length, same in groupby(pack, lengths.__getitem__):
                indices = list(same)
                yield indices, self._finished(features, length, [next(made) for _ in indices])

    def _finished(self, features: Mapping[str, Any], length: int, made: Sequence[Any]) -> dict[str, Any]:
        import torch

        model = self.packing.model
        whole = torch.cat(list(made)).to(model.device, model.dtype)
        mask = torch.ones((len(made), length), dtype=torch.long, device=model.device)
        told = {name: value for name, value in features.items() if not hasattr(value, "shape")}
        found: dict[str, Any] = {**told, "attention_mask": mask, self.name: whole}
        for module in self.rest:
            found = module(found)
        return found


def packed_modules(model: Any) -> PackedModules | None:
    """Those of a SentenceTransformer, SparseEncoder or CrossEncoder whose transformer takes packed rows, else None.

    From then on the transformer is to be asked by them alone.
    """
    first, *rest = model.children()
    if type(first).__name__ != "Transformer" or type(first).__module__.partition(".")[0] != "sentence_transformers":
        return None
    modality = first.modality_config.get("text") or {}
    output = modality.get("method_output_name")
    if modality.get("method") != "forward" or output not in _OUTPUTS or first.transformer_task == "text-generation":
        return None
    told = getattr(first.model.config, "output_hidden_states", False) or any((model.module_kwargs or {}).values())
    if told or not all(type(module).__name__ in _BEHIND for module in rest):
        return None
    inputs = _INPUTS & frozenset(inspect.signature(first.model.forward).parameters)
    packing = packing_for(first.model, output, inputs, first.max_seq_length or 512)
    return None if packing is None else PackedModules(packing, inputs, first.module_output_name, rest)
