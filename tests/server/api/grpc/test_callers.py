"""Who asks over gRPC: identifiers and keys in metadata."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from server.api.credentials import KeyFile, KeyGuard
from server.api.grpc.callers import Callers
from server.api.grpc.protos import message_type
from server.errors import Forbidden, InvalidInput, Unauthorized

KEY, ALL = "some-0123456789abcdef", "all-0123456789abcdef"
WITH = (("x-api-key", KEY), ("a", "b"))
WITH_ALL = (("authorization", f"Bearer {ALL}"), ("data-bin", b"\xff"))


class Context:
    def __init__(self, *metadata: tuple[str, str | bytes]) -> None:
        self.metadata = metadata
        self.told: list[Any] = []

    def invocation_metadata(self) -> Any:
        return self.metadata

    async def send_initial_metadata(self, metadata: Any) -> None:
        self.told += metadata


def attend(callers: Callers, *metadata: tuple[str, str | bytes]) -> tuple[Any, Any]:
    context = Context(*metadata)
    return asyncio.run(callers.attend(context)), context.told


def test_an_identifier_goes_back() -> None:
    assert attend(Callers(), ("x-request-id", "abc"), ("a", "b")) == (
        (("x-request-id", "abc"), ("a", "b")),
        [("x-request-id", "abc")],
    )
    assert attend(Callers(), ("a", "b")) == ((("a", "b"),), [])


def test_one_is_made_where_that_was_asked_for() -> None:
    metadata, told = attend(Callers(make_ids=True), ("a", "b"))
    assert metadata == (("a", "b"), *told)
    assert told[0][0] == "x-request-id"


@pytest.mark.parametrize("given", [["a b"], [""], ["x" * 129], ["a", "b"]])
def test_what_is_none_is_refused(given: list[str]) -> None:
    with pytest.raises(InvalidInput, match="x-request-id"):
        attend(Callers(), *(("x-request-id", value) for value in given))


@pytest.fixture
def callers(tmp_path: Path) -> Callers:
    (tmp_path / "keys").write_text(f"- {{key: {KEY}, models: [m]}}\n- {ALL}\n")
    return Callers(KeyGuard(KeyFile(tmp_path / "keys")))


def test_inference_asks_for_a_key(callers: Callers) -> None:
    callers.check(WITH, "m")
    callers.check(WITH_ALL, "other")
    with pytest.raises(Forbidden, match="not for model 'other'"):
        callers.check(WITH, "other")
    with pytest.raises(Unauthorized):
        callers.check((), "m")
    Callers().check((), "m")


@pytest.mark.parametrize(
    ("method", "request_", "some"),
    [
        ("ModelReady", {"name": "m"}, True),
        ("ModelReady", {"name": "o"}, False),
        ("TraceSetting", {"model_name": "o"}, False),
        ("ServerMetadata", {}, True),
        ("ModelStatistics", {"name": "o"}, False),
        ("RepositoryIndex", {}, True),
        ("ModelStatistics", {"name": ""}, True),
        ("ModelStatistics", {"name": "m"}, True),
    ],
)
def test_other_methods_ask_for_one(callers: Callers, method: str, request_: dict[str, str], some: bool) -> None:
    request = SimpleNamespace(**request_)
    callers.check_method(WITH_ALL, method, request)
    with pytest.raises(Unauthorized):
        callers.check_method((), method, request)
    if some:
        callers.check_method(WITH, method, request)
    else:
        with pytest.raises(Forbidden):
            callers.check_method(WITH, method, request)


@pytest.mark.parametrize("method", ["ServerLive", "ServerReady", "RepositoryModelLoad", "RepositoryModelUnload"])
def test_what_is_open(callers: Callers, method: str) -> None:
    callers.check_method((), method, SimpleNamespace(name="o"))


def test_models_are_shown_no_keys(callers: Callers) -> None:
    assert callers.shown(WITH) == [("a", "b")]
    assert callers.shown(WITH_ALL) == [("data-bin", b"\xff")]
    assert Callers().shown(WITH) is WITH


@pytest.mark.parametrize(
    ("method", "kind", "member"),
    [
        ("RepositoryIndex", "RepositoryIndexResponse", "models"),
        ("ModelStatistics", "ModelStatisticsResponse", "model_stats"),
    ],
)
def test_lists_hold_the_models_of_the_key(callers: Callers, method: str, kind: str, member: str) -> None:
    def names(callers: Callers, metadata: Any, method: str) -> list[str]:
        answer = message_type(kind)()
        for name in ("o", "m", "m2"):
            getattr(answer, member).add(name=name)
        return [each.name for each in getattr(callers.of_the_key(metadata, method, answer), member)]

    assert names(callers, WITH, method) == ["m"]
    assert names(callers, WITH_ALL, method) == ["o", "m", "m2"]
    assert names(Callers(), (), method) == ["o", "m", "m2"]
    assert names(callers, WITH, "ServerMetadata") == ["o", "m", "m2"]
