"""One server with every case's model and all broken directories beside them, for all the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cases import CASES, Expected
from tests.e2e.broken import BROKEN
from tests.e2e.process import Server
from tests.shared import Shared


@dataclass(frozen=True)
class House:
    """The mount and what is known of it."""

    server: Server
    root: Path
    expected: dict[str, Expected]
    reasons: dict[str, str]


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory, shared: Shared) -> Iterator[House]:
    base = tmp_path_factory.mktemp("house")
    root = base / "models"
    expected, reasons = {}, {}
    root.mkdir()
    for case in CASES:
        expected[case.name] = shared.copy(case, root / case.name)
    for name, make in BROKEN.items():
        (root / name).mkdir()
        reasons[name] = make(root / name)
    server = Server(root, base / "server.log").wait_ready()
    yield House(server, root, expected, reasons)
    assert server.stop() == 0, server.log


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)
