"""A front process's copies: which answers for a name, when each is closed, and what they count."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.base import LoadError
from server.errors import NotReady
from server.frontends.copy_repository import CopyRepository
from server.inference.batching.queue import Limits
from server.inference.request import Answer, InferenceRequest
from tests.server.frontends.copies import echo_spec
from tests.server.stand_ins import EchoAdapter, stand_ins

ONE = b'{"instances": [[1, 2]]}'


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> Iterator[CopyRepository]:
    with stand_ins(monkeypatch), ThreadPoolExecutor(1) as pool:
        yield CopyRepository(pool, Limits(), log_latency=False)


async def predict(copies: CopyRepository, name: str, version: str | None = None) -> bytes:
    model = await copies.ready(name, version)
    answer = await model.handle(InferenceRequest("v1", "predict", name, version, (), ONE))
    assert isinstance(answer, Answer)
    return answer.body


def test_a_copy_answers_once_it_is_routed_to_and_for_nothing_else(copies: CopyRepository, tmp_path: Path) -> None:
    async def run() -> None:
        spec = echo_spec(tmp_path)
        copies.put(spec.number, copies.load(spec))
        assert not copies.answers_whole("a", None)
        copies.route("a", [(None, spec.number), ("1", spec.number)])
        assert [copies.answers_whole(*each) for each in (("a", None), ("a", "1"), ("a", "2"), ("b", None))] == [
            True, True, False, False,
        ]  # fmt: skip
        assert await predict(copies, "a") == await predict(copies, "a", "1") == b'{"predictions":[[2.0,4.0]]}'
        for name, version in (("a", "2"), ("b", None)):
            with pytest.raises(NotReady, match="is not in this process"):
                copies.ready_model(name, version)
        copies.route("a", [])
        assert not copies.answers_whole("a", None)

    asyncio.run(run())


def test_what_cannot_be_loaded_or_has_changed_is_no_copy(copies: CopyRepository, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="refused"):
        copies.load(echo_spec(tmp_path, "echo refuse"))
    spec = echo_spec(tmp_path)
    (tmp_path / "model.echo").write_text("echo another")
    with pytest.raises(LoadError, match="no longer those"):
        copies.load(spec)


def test_a_copy_is_closed_when_it_is_dropped_and_who_asked_hears_of_it(copies: CopyRepository, tmp_path: Path) -> None:
    async def run() -> None:
        spec, closed = echo_spec(tmp_path), asyncio.Event()
        copies.put(spec.number, copies.load(spec))
        adapter = EchoAdapter.made[-1]
        copies.drop(spec.number, closed.set)
        async with asyncio.timeout(60):
            await closed.wait()
        assert adapter.closed == 1
        with pytest.raises(KeyError):
            copies.route("a", [(None, spec.number)])

    asyncio.run(run())


def test_counts_are_those_of_the_name_whatever_copy_it_was(copies: CopyRepository, tmp_path: Path) -> None:
    async def run() -> None:
        assert copies.counts() == {}
        for _ in range(2):
            spec = echo_spec(tmp_path)
            copies.put(spec.number, copies.load(spec))
            copies.route("a", [(None, spec.number)])
            assert copies.waiting() == copies.in_flight() == {}
            await predict(copies, "a")
        assert list(copies.counts()) == ["a"]
        assert copies.counts()["a"][""]["requests"] == [["v1", 200, 2]]

    asyncio.run(run())
