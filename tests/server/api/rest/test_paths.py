"""The grammar of paths: which model, version and verb a request is for."""

from __future__ import annotations

from typing import Any

import pytest

from server.api.rest.paths import (
    ModelPath,
    asked_by,
    facts_asked_by,
    of_the_only,
    parse,
    parse_facts,
    refusal,
)
from server.errors import InvalidInput, NotFound


def scope(path: str, query: bytes = b"") -> dict[str, Any]:
    return {"path": path, "query_string": query}


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/models/m:predict", ("v1", "predict", "m", None)),
        ("/v1/models/m/versions/2:explain", ("v1", "explain", "m", "2")),
        ("/v1/models/m/labels/stable:predict", ("v1", "predict", "m", "stable")),
        ("/v2/models/m/infer", ("v2", "predict", "m", None)),
        ("/v2/models/m/versions/2/generate", ("v2", "generate", "m", "2")),
        ("/v1/models/m:classify", None),
        ("/v2/models/m", None),
        ("/v2/models/m/infer/", None),
    ],
)
def test_what_a_post_asks(path: str, asked: Any) -> None:
    assert parse(path) == asked


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/models/m", ("v1", "status", "m", None)),
        ("/v1/models/m/versions/2", ("v1", "status", "m", "2")),
        ("/v1/models/m/labels/stable/metadata", ("v1", "metadata", "m", "stable")),
        ("/v1/models/a:b", ("v1", "status", "a:b", None)),
        ("/v2/models/m", ("v2", "metadata", "m", None)),
        ("/v2/models/m/ready", ("v2", "ready", "m", None)),
        ("/v2/models/m/versions/2", ("v2", "metadata", "m", "2")),
        ("/v2/models/m/versions/2/config", ("v2", "config", "m", "2")),
        ("/v2/models/versions", ("v2", "metadata", "versions", None)),
        ("/v2/models/versions/versions/1/stats", ("v2", "stats", "versions", "1")),
        ("/v2/models/stats", ("v2", "metadata", "stats", None)),
        ("/v2/models/m/infer", None),
        ("/v2/models/m/versions/2/other", None),
        ("/v2/models/m/ready/ready", None),
        ("/v1/models/m:predict", None),
        ("/v1/models/a/b", None),
        ("/v1/models/", None),
        ("/v2/models/", None),
    ],
)
def test_what_a_get_asks(path: str, asked: Any) -> None:
    assert parse_facts(path) == asked


@pytest.mark.parametrize(
    ("path", "query", "version"),
    [
        ("/v2/models/m/infer", b"", None),
        ("/v2/models/m/infer", b"model_version=2", "2"),
        ("/v2/models/m/infer", b"a=b&model_version=2&model_version=2", "2"),
        ("/v2/models/m/infer", b"model%5Fversion=stable", "stable"),
        ("/v2/models/m/infer", b"model_version=", None),
        ("/v2/models/m/infer", b"version=2", None),
        ("/v2/models/m/versions/2/infer", b"model_version=2", "2"),
        ("/v1/models/m:predict", b"model_version=2", None),
    ],
)
def test_the_query_names_the_version_too(path: str, query: bytes, version: str | None) -> None:
    asked = asked_by(scope(path, query))
    assert asked is not None
    assert asked.version == version


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v2/models/m/versions/1{}", b"model_version=2"),
        ("/v2/models/m{}", b"model_version=1&model_version=2"),
    ],
)
def test_two_versions_are_one_too_many(path: str, query: bytes) -> None:
    for asked, end in ((asked_by, "/infer"), (facts_asked_by, "/ready")):
        with pytest.raises(InvalidInput, match="different versions, '1' and '2': name one"):
            asked(scope(path.format(end), query))


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/m:classify", 501),
        ("/v1/models/m/versions/1:regress", 501),
        ("/v1/models/m:PREDICT", 404),
        ("/v1/models/m:", 404),
        ("/v1/models/m", None),
        ("/v1/models/m:predict/", None),
        ("/v2/models/m:classify", None),
    ],
)
def test_a_verb_that_there_is_not_names_those_that_there_are(path: str, status: int | None) -> None:
    refused = refusal(path)
    assert (refused.status if refused is not None else None) == status
    if refused is not None:
        named = path.removeprefix("/v1/models/").rpartition(":")[0]
        assert f"POST /v1/models/{named}:predict and POST /v1/models/{named}:explain" in str(refused)


def test_invocations_are_for_the_only_model() -> None:
    assert of_the_only(["m"]) == ModelPath("v1", "predict", "m")
    for names, held in (([], "no model"), (["a", "b"], "2 models")):
        with pytest.raises(NotFound, match=f"this has {held}: POST to /v1/models/NAME:predict"):
            of_the_only(names)


def test_sagemakers_path_of_one_of_several_models_says_where_to_go() -> None:
    assert "POST the same body to /v1/models/m:predict" in str(refusal("/models/m/invoke"))
    assert refusal("/models/m/invoke/x") is None


@pytest.mark.parametrize("named", ["m", "m/versions/1"])
@pytest.mark.parametrize("verb", ["infer_stream", "predict", "x:y"])
def test_a_verb_of_v2_that_there_is_not_names_those_that_there_are(named: str, verb: str) -> None:
    refused = refusal(f"/v2/models/{named}/{verb}")
    assert isinstance(refused, NotFound)
    said = f"there is no {verb!r} of a model; there are /infer, /generate, /generate_stream behind /v2/models/{named}"
    assert str(refused) == said


@pytest.mark.parametrize("rest", ["", "m", "m/ready", "m/versions/1", "m/versions/1/stats", "m/a/b", "m/trace/setting"])
def test_what_is_asked_by_get_or_by_nobody_is_not_refused_here(rest: str) -> None:
    assert refusal(f"/v2/models/{rest}") is None
