"""One signature of every kind that adapters declare, strategies for what clients send, a check of what arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from adapters.base import Array, Parameter, Signature, Tensors, TensorSpec
from adapters.datatypes import NUMPY_OF
from server.codec.decoded_request import DecodedRequest
from server.errors import InvalidInput

T = TypeVar("T")

NUMBERS = [name for name in NUMPY_OF if name != "BYTES"]

OUTPUT = (TensorSpec("y", "FP64", (-1,)),)


def one(datatype: str, *shape: int, **flags: bool) -> Signature:
    """A signature of one input `x`."""
    return Signature((TensorSpec("x", datatype, shape, **flags),), OUTPUT)


_MATRIX = TensorSpec("x", "FP64", (-1, 2), finite=True)
_TABLE = (
    TensorSpec("age", "FP64", (-1,), nullable=True, finite=True),
    TensorSpec("city", "BYTES", (-1,), nullable=True),
    TensorSpec("count", "INT64", (-1,)),
    TensorSpec("note", "BYTES", (-1,), optional=True),
)
_PARAMETERS = (
    Parameter("method", str, ("predict", "predict_proba")),
    Parameter("threshold", float),
    Parameter("top_k", int),
    Parameter("offsets", bool),
)

SIGNATURES: dict[str, Signature] = {
    **{f"{datatype} vector": one(datatype, -1) for datatype in NUMPY_OF},
    "matrix": Signature((_MATRIX,), OUTPUT, parameters=_PARAMETERS),
    "matrix of any width": one("FP32", -1, -1),
    "matrix with missing values": one("FP32", -1, 2, nullable=True),
    "finite matrix with missing values": one("FP32", -1, 2, nullable=True, finite=True),
    "matrix with columns": Signature((_MATRIX,), OUTPUT, columns=("a", "b")),
    "matrix of any name": Signature((_MATRIX,), OUTPUT, any_name=True),
    "images": one("UINT8", -1, 2, 2),
    "table": Signature(_TABLE, OUTPUT, table=True),
    "table of optional columns": Signature(
        (TensorSpec("a", "FP64", (-1,), optional=True), TensorSpec("b", "BYTES", (-1,), optional=True)),
        OUTPUT,
        table=True,
    ),
    "binary texts": one("BYTES", -1, binary=True),
    "matrix of texts": one("BYTES", -1, 2),
    "several inputs": Signature((TensorSpec("a", "FP32", (-1, 2)), TensorSpec("b", "INT32", (-1,))), OUTPUT),
    "an optional input": Signature(
        (TensorSpec("x", "FP32", (-1, 2)), TensorSpec("b", "INT32", (-1,), optional=True)), OUTPUT
    ),
    "any type": Signature(
        (
            TensorSpec("a", "FP64", (-1,), nullable=True, any_type=True),
            TensorSpec("b", "BYTES", (-1,), nullable=True, any_type=True),
        ),
        OUTPUT,
        table=True,
    ),
    "matrix of any type": Signature(
        (TensorSpec("x", "FP64", (-1, 2), nullable=True, any_type=True),), OUTPUT, any_name=True
    ),
    "unbatched": Signature(
        (TensorSpec("a", "FP32", (-1, 2)), TensorSpec("b", "BYTES", ()), TensorSpec("c", "INT8", (3,), optional=True)),
        OUTPUT,
        batched=False,
    ),
    "unbatched scalar": Signature((TensorSpec("x", "FP64", ()),), OUTPUT, batched=False),
}

signatures = st.sampled_from(sorted(SIGNATURES)).map(SIGNATURES.__getitem__)

_KEYS = ["instances", "inputs", "parameters", "x", "a", "b", "c", "age", "city", "count", "note", "b64", "text", ""]
keys = st.sampled_from(_KEYS) | st.text(max_size=5)
integers = st.integers(-3, 300) | st.integers(-(2**63), 2**64 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=5) | st.sampled_from(["YQ==", "/w==", "1.5", "nan"])
leaves = st.none() | st.booleans() | integers | floats | st.floats(-4, 4).map(round).map(float) | texts
json_values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(st.lists(inner, min_size=2, max_size=2), min_size=1, max_size=3)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=16,
)


def values_of(spec: TensorSpec, shape: tuple[int, ...]) -> st.SearchStrategy[Array]:
    """Arrays that fit the spec, finite and without missing values."""
    if spec.datatype == "BYTES":
        texts = st.text(st.characters(codec="utf-8"), max_size=6)
        return arrays.arrays(np.object_, shape, elements=texts.map(str.encode) if spec.binary else texts)
    finite = {"allow_nan": False, "allow_infinity": False} if spec.dtype.kind == "f" else None
    return arrays.arrays(spec.dtype, shape, elements=finite)


@st.composite
def fitting(draw: st.DrawFn, signature: Signature) -> Tensors:
    """Tensors that fit the signature; optional inputs may be left out."""
    rows = draw(st.integers(1, 4))
    inputs: Tensors = {}
    for spec in signature.inputs:
        if spec.optional and draw(st.booleans()):
            continue
        shape = tuple(
            rows if axis == 0 and signature.batched else draw(st.integers(1, 3)) if size == -1 else size
            for axis, size in enumerate(spec.shape)
        )
        inputs[spec.name] = draw(values_of(spec, shape))
    return inputs


def same(left: Array, right: Array) -> bool:
    """Equal to the last bit, in type and shape too."""
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    if left.dtype.kind == "O":
        return bool(left.tolist() == right.tolist())
    return left.tobytes() == right.tobytes()


def decoded(decode: Callable[[], T]) -> T | None:
    """What decoding gives; None when it is refused, which must happen in a few words."""
    try:
        return decode()
    except InvalidInput as error:
        message = str(error)
    assert 0 < len(message) < 400
    return None


def check(call: DecodedRequest, signature: Signature) -> None:
    """Fail unless the inputs are what the signature promises to the model."""
    specs = {spec.name: spec for spec in signature.inputs}
    assert call.inputs.keys() <= specs.keys()
    assert {name for name, spec in specs.items() if not spec.optional} <= call.inputs.keys()
    for name, array in call.inputs.items():
        _check_array(array, specs[name])
        assert not signature.batched or len(array) == call.rows > 0
    assert signature.batched or call.rows == 1


def _check_array(array: Array, spec: TensorSpec) -> None:
    assert spec.any_type or array.dtype == spec.dtype
    assert array.flags.aligned
    assert array.flags.writeable
    assert array.ndim == len(spec.shape)
    assert all(want in (-1, got) for want, got in zip(spec.shape, array.shape, strict=True))
    if spec.datatype == "BYTES" and not spec.any_type:
        kinds = {bytes if spec.binary else str} | ({type(None)} if spec.nullable else set())
        assert set(map(type, array.ravel().tolist())) <= kinds
    if spec.finite:
        assert not np.isinf(array).any()
        assert spec.nullable or not np.isnan(array).any()
