"""What may be asked for beside a model's name when it is loaded: nothing that would not be done."""

from __future__ import annotations

from typing import Any

import pytest

from server.api.triton.loading_options import check_options
from server.errors import InvalidInput, NotSupported


@pytest.mark.parametrize("parameters", [{}, {"unload_dependents": False}, {"unload_dependents": True}])
def test_what_makes_no_difference(parameters: Any) -> None:
    check_options(parameters)


@pytest.mark.parametrize(
    ("parameters", "error", "says"),
    [
        ({"config": "{}"}, NotSupported, "'config' is not served: a model is loaded as it lies in its folder"),
        ({"file:1/model.onnx": "AAAA"}, NotSupported, "'file:1/model.onnx' is not served"),
        ({"unload_dependents": "yes"}, InvalidInput, "unload_dependents must be true or false"),
        ({"speed": 1}, InvalidInput, "'speed' is unknown; known: 'unload_dependents'"),
    ],
)
def test_what_would_not_be_done(parameters: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        check_options(parameters)
