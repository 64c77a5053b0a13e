from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.stand_ins import EchoAdapter, stand_ins


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[EchoAdapter]]:
    """The registry holds stand-ins only."""
    with stand_ins(monkeypatch) as adapter:
        yield adapter
