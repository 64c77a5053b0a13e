"""The notebook: its cells are run in one interpreter, in order, against the server that it starts itself."""

from __future__ import annotations

import ast
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from bench.ports import free_port
from tests.docs.session import ROOT

NOTEBOOK = json.loads((ROOT / "docs" / "notebook.ipynb").read_text())
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Where the cells run; a server that a failed cell leaves is stopped."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("POLYSERVE_WATCH_SETTLE", "0.4")
    monkeypatch.setenv("POLYSERVE_WATCH_INTERVAL", "0.2")
    found: dict[str, Any] = {"__name__": "__main__"}
    yield found
    server = found.get("server")
    if server is not None and server.poll() is None:
        os.kill(server.pid, signal.SIGTERM)
        server.wait(240)


@pytest.mark.e2e
def test_every_cell_runs(names: dict[str, Any]) -> None:
    http, grpc = str(free_port()), str(free_port())
    for number, code in enumerate(CODE):
        exec(compile(code.replace("8080", http).replace("8081", grpc), f"cell {number}", "exec"), names)
    assert names["answer"]["predictions"] == [0, 1, 2]
    assert names["doubled"] == {"predictions": [2, 5.0]}
    (told,) = names["explained"]["explanations"]
    assert set(told["contributions"]) >= {"bmi", "s5"}
    assert {each["name"]: each["state"] for each in names["index"]} == dict.fromkeys(
        ("diabetes", "double", "iris"), "READY"
    )
    assert names["server"].returncode == 0


def test_it_is_a_notebook_without_outputs() -> None:
    assert NOTEBOOK["nbformat"] == 4
    for cell in NOTEBOOK["cells"]:
        assert cell["cell_type"] in ("markdown", "code")
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            ast.parse("".join(cell["source"]))
