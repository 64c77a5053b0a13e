"""Which paths name a model, and what they ask of it."""

from __future__ import annotations

import pytest

from server.api.rest.paths import ModelPath, parse


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/models/iris:predict", ModelPath("v1", "predict", "iris")),
        ("/v1/models/iris:explain", ModelPath("v1", "explain", "iris")),
        ("/v1/models/iris/versions/3:predict", ModelPath("v1", "predict", "iris", "3")),
        ("/v1/models/iris/labels/stable:predict", ModelPath("v1", "predict", "iris", "stable")),
        ("/v1/models/a/b:predict", ModelPath("v1", "predict", "a/b")),
        ("/v1/models/a:b:predict", ModelPath("v1", "predict", "a:b")),
        ("/v1/models/iris/versions/:predict", ModelPath("v1", "predict", "iris", "")),
        ("/v2/models/iris/infer", ModelPath("v2", "predict", "iris")),
        ("/v2/models/iris/versions/3/infer", ModelPath("v2", "predict", "iris", "3")),
        ("/v2/models/iris/generate", ModelPath("v2", "generate", "iris")),
        ("/v2/models/iris/generate_stream", ModelPath("v2", "generate_stream", "iris")),
        ("/v2/models/iris/versions//infer", ModelPath("v2", "predict", "iris", "")),
    ],
)
def test_a_path_that_asks_something_of_a_model(path: str, asked: ModelPath) -> None:
    assert parse(path) == asked


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/v1/models/", "/v1/models/iris", "/v1/models/iris:classify", "/v1/models/iris:predict/"),
        *("/v1/models/iris:PREDICT", "/v2/models/iris", "/v2/models/iris/ready", "/v2/models/iris/infer/"),
        *("/v3/models/iris/infer", "/v2/repository/index", "v1/models/iris:predict", "/v2/models/iris:predict"),
    ],
)
def test_a_path_that_asks_nothing(path: str) -> None:
    assert parse(path) is None
