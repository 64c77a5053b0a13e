"""One front process from the main one's side: started, asked for its counts, started again, and stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import httpx
import psutil
import pytest

from bench.ports import free_port
from server.config.settings import Settings
from server.frontends.frontend import Frontend, _WholeLines
from server.loading.load_spec import LoadSpec
from server.telemetry.metrics import CounterSnapshot
from tests.patience import wait_for
from tests.processes import alive


class Owner:
    """Of one front process, without any model."""

    def __init__(self) -> None:
        self.lock, self.stopping = threading.RLock(), threading.Event()

    def names(self) -> Iterable[str]:
        return []

    def wanted(self, name: str) -> Mapping[str | None, LoadSpec]:
        return {}

    def is_withdrawn(self, name: str) -> bool:
        return False

    def is_incoming(self, number: int) -> bool:
        return False

    def keep_counts(self, counts: CounterSnapshot) -> None: ...


class Kept:
    """A front process that is kept, and its port."""

    def __init__(self, directory: Any, **settings: Any) -> None:
        self.owner, self.port = Owner(), free_port()
        wanted = Settings(http_port=self.port, enable_grpc=False, **settings)
        start = {"settings": wanted.plain(), "http_port": self.port, "grpc_port": 0, "directory": str(directory)}
        self.frontend = Frontend(2, start, self.owner)
        self.thread = threading.Thread(target=self.frontend.keep)
        self.thread.start()

    def listens(self) -> bool:
        return self.frontend.copies is not None

    @property
    def pid(self) -> int:
        assert self.frontend._process is not None
        return self.frontend._process.pid

    def stop(self) -> None:
        with self.owner.lock:
            self.owner.stopping.set()
            self.frontend.stop(5)
        assert self.frontend.ended.wait(60)
        self.thread.join(60)


@pytest.fixture
def kept(tmp_path: Any) -> Iterator[Kept]:
    kept = Kept(tmp_path)
    wait_for(kept.listens)
    yield kept
    kept.stop()


@pytest.mark.slow
def test_it_listens_and_says_so_when_nobody_is_behind_it(kept: Kept) -> None:
    answer = httpx.get(f"http://127.0.0.1:{kept.port}/v2/health/live", timeout=60)
    assert answer.status_code == 503
    assert "main process" in answer.json()["error"]


@pytest.mark.slow
def test_its_counts_are_asked_for_one_at_a_time(kept: Kept) -> None:
    first = kept.frontend.count()
    assert first is not None
    first.result(60)
    assert (kept.frontend.counts, kept.frontend.waiting) == ({}, {})


@pytest.mark.slow
def test_one_that_ends_is_started_again(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    before = kept.pid
    kept.frontend.kill()
    wait_for(lambda: kept.listens() and kept.pid != before)
    assert "it is started again" in caplog.text


@pytest.mark.slow
def test_one_that_is_stopped_ends_by_itself(tmp_path: Any) -> None:
    kept = Kept(tmp_path)
    wait_for(kept.listens)
    process = psutil.Process(kept.pid)
    kept.stop()
    assert not process.is_running() or not alive(process)
    assert kept.frontend.count() is None


def test_one_that_is_stopped_before_it_serves_ends_at_once(tmp_path: Any) -> None:
    kept = Kept(tmp_path)
    wait_for(lambda: kept.frontend._process)
    kept.stop()
    assert not kept.listens()


def test_lines_are_written_whole(capfd: pytest.CaptureFixture[str]) -> None:
    lines = _WholeLines()
    for printed, seen in ((b"a li", ""), (b"ne\nan", "a line\n"), (b"other", ""), (b"\n\n", "another\n\n")):
        lines.write(printed)
        assert capfd.readouterr().err == seen
