"""The model configuration extension: `config.pbtxt` as it would be for what is served.

    {"name", "platform", "backend", "max_batch_size", "input": [{"name", "data_type", "dims"}], "output": [...], ...}

Where `max_batch_size` is not 0, `dims` lack the batch's dimension, as Triton has it. It is 0 where an input is one
value a row: without the batch no dimension would be left, and Triton's clients read the shapes of inputs from the
metadata, where there is one; perf_analyzer can ask for no other (`--shape NAME:ROWS`).

Source: Triton's extension_model_configuration.md, model_config.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server.inference.model import ServedModel

#: datatypes that are called otherwise than "TYPE_" and V2's name
_TYPES = {"BYTES": "TYPE_STRING"}


def model_config(name: str, model: ServedModel) -> dict[str, Any]:
    """The configuration of a model."""
    signature = model.signature
    batched = model.max_rows > 0 and all(len(tensor["shape"]) > 1 for tensor in model.get_input_types())
    optional = {spec.name for spec in signature.inputs if spec.optional}
    inputs = [
        {**_tensor(tensor, batched), **({"optional": True} if tensor["name"] in optional else {})}
        for tensor in model.get_input_types()
    ]
    return {
        "name": name,
        "platform": model.adapter.platform,
        "backend": model.adapter.name,
        "version_policy": {"all": {}},
        "max_batch_size": model.max_rows if batched else 0,
        "input": inputs,
        "output": [_tensor(tensor, batched) for tensor in model.get_output_types()],
        **({"dynamic_batching": {}} if batched and model.merges else {}),
        "model_transaction_policy": {"decoupled": signature.streams},
    }


def _tensor(tensor: Mapping[str, Any], batched: bool) -> dict[str, Any]:
    datatype, shape = tensor["datatype"], tensor["shape"]
    known = {"name": tensor["name"], "data_type": _TYPES.get(datatype, f"TYPE_{datatype}")}
    dims = shape[1:] if batched else shape
    if dims:
        return {**known, "dims": dims}
    return {**known, "dims": [1], "reshape": {"shape": []}}  # a row is one value: `dims` may not be empty
