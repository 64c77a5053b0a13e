"""TensorFlow Serving's words on the versions of a model: their status, and the metadata with its signatures.

    {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", ...}}]}
    {"model_spec": {...}, "metadata": {"signature_def": {"signature_def": {"serving_default": {...}}}}}

Source: TensorFlow Serving's REST API, get_model_status.proto, get_model_metadata.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.base import Signature, TensorSpec
from server.inference.model import ServedModel
from server.repository.state import ModelState, State

_STATES = {
    State.READY: "AVAILABLE",
    State.EVICTED: "AVAILABLE",  # a request brings it back
    State.LOADING: "LOADING",
    State.UNLOADING: "UNLOADING",
    State.UNAVAILABLE: "END",
}
_DTYPES = {
    **{"FP16": "DT_HALF", "FP32": "DT_FLOAT", "FP64": "DT_DOUBLE", "BF16": "DT_BFLOAT16"},
    **{"BYTES": "DT_STRING", "BOOL": "DT_BOOL"},
}
DEFAULT = "serving_default"  #: what a signature is called where the model has no name for it


def version_status(states: Mapping[str, ModelState]) -> list[dict[str, Any]]:
    """The status of each version, by number; the newest first, as TensorFlow Serving has it."""
    return [_status(version, *state.now) for version, state in reversed(list(states.items()))]


def _status(version: str, state: State, reason: str) -> dict[str, Any]:
    failed = state is State.UNAVAILABLE
    error = {"error_code": "UNKNOWN" if failed else "OK", "error_message": reason if failed else ""}
    return {"version": version, "state": _STATES[state], "status": error}


def version_metadata(name: str, version: str, model: ServedModel) -> dict[str, Any]:
    """The metadata of one version, its signatures among them."""
    variants = model.signature.variants or {DEFAULT: model.signature}
    signatures = {variant: _signature(signature) for variant, signature in variants.items()}
    return {
        "model_spec": {"name": name, "signature_name": "", "version": version},
        "metadata": {"signature_def": {"signature_def": signatures}},
    }


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": {spec.name: _tensor(spec) for spec in signature.inputs},
        "outputs": {spec.name: _tensor(spec) for spec in signature.outputs},
        "method_name": "tensorflow/serving/predict",
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    shape = {"dim": [{"size": str(size), "name": ""} for size in spec.shape], "unknown_rank": False}
    if spec.any_rank:
        shape = {"dim": [], "unknown_rank": True}
    dtype = _DTYPES.get(spec.datatype, f"DT_{spec.datatype}")
    return {"dtype": dtype, "tensor_shape": shape, "name": spec.name}
