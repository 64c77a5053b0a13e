from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.server.api.grpc import calling
from tests.server.api.grpc.fronts import FRONTS


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """`calling` asks a server of this kind."""
    monkeypatch.setattr(calling, "FRONT", request.param)
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    """What grpcio leaves behind joins a thread when it goes, which is safe here, and not in another test's thread."""
    yield
    gc.collect()
