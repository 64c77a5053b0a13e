from __future__ import annotations

import pytest

from tests.server.api.grpc import calling
from tests.server.api.grpc.fronts import FRONTS


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """`calling` asks a server of this kind."""
    monkeypatch.setattr(calling, "FRONT", request.param)
    name: str = request.param
    return name
