"""Every way of decoding that is measured decodes the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench import decoding
from server.codec.fast import json_arrays

SHAPE = (8, 40)


@pytest.mark.parametrize("protocol", decoding.PROTOCOLS)
@pytest.mark.parametrize("datatype", decoding.DATATYPES)
def test_json(protocol: Any, datatype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def matrix(way: str) -> Any:
        decoded: Any = decoding.decoder(way, protocol, SHAPE, datatype)()
        return decoded if way == decoding.LEAST else decoded.inputs["x"]

    expected = matrix(decoding.SIMDJSON)
    assert expected.shape == SHAPE
    monkeypatch.setattr(json_arrays, "_parse", lambda raw: pytest.fail("simdjson was asked"))
    for way in (decoding.ORJSON, decoding.LEAST):
        assert np.array_equal(matrix(way), expected)
    with pytest.raises(pytest.fail.Exception):
        matrix(decoding.SIMDJSON)


def test_grpc() -> None:
    ways = decoding.grpc_ways()
    raw, typed = ({way() for name, way in ways.items() if name.endswith(kind)} for kind in ("raw", "typed"))
    assert len(raw) == len(typed) == 1
    assert len(ways) == 5
