from __future__ import annotations

from collections.abc import Iterator

import pytest

from server.inference.batching import executor
from tests.server.stand_ins import EchoAdapter, stand_ins


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[EchoAdapter]]:
    """The registry holds stand-ins only."""
    with stand_ins(monkeypatch) as adapter:
        yield adapter


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are told to have taken no processor time: a machine that pauses makes none of them long."""
    monkeypatch.setattr(executor, "thread_time", lambda: 0.0)
