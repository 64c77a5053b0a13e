"""V2's datatypes and numpy's dtypes, both ways."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.datatypes import NUMPY_OF, datatype_of


@pytest.mark.parametrize("name", NUMPY_OF)
def test_a_datatype_comes_back_in_any_byte_order(name: str) -> None:
    assert datatype_of(NUMPY_OF[name]) == name
    assert datatype_of(NUMPY_OF[name].newbyteorder(">")) == name


@pytest.mark.parametrize("dtype", ["U3", "S3", "O", "datetime64[s]", "complex64", "longdouble", "V4"])
def test_what_has_no_datatype_travels_as_bytes(dtype: str) -> None:
    assert datatype_of(np.dtype(dtype)) == "BYTES"


def test_every_datatype_of_the_protocol_is_there() -> None:
    whole = {f"{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)}
    assert NUMPY_OF.keys() == whole | {"FP16", "FP32", "FP64", "BOOL", "BYTES"}
