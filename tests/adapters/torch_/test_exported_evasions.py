"""No text of an exported program is evaluated, executed or followed to where it leads, whatever stands in its place."""

from __future__ import annotations

import json
import os
import random
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from adapters.base import LoadError, ModelDir
from adapters.torch_ import exported

torch = pytest.importorskip("torch")

from tests.adapters.torch_ import exported_evasions as evasions  # noqa: E402
from tests.adapters.torch_ import models as m  # noqa: E402

pytestmark = pytest.mark.slow

DOCUMENT = "models/model.json"
#: what would show that code of the program's ran, or that a path or a library of its choice was opened
EVENTS = ("os.mkdir", "os.system", "os.exec", "subprocess.Popen", "ctypes.dlopen", "webbrowser.open")
Case = tuple[str, Callable[[], Any]]
EVERY = bool(os.environ.get("EVERY_CASE"))
_heard: list[str] = []
_listens: list[bool] = []  #: audit hooks cannot be taken away again


def _hear(event: str, _: Any) -> None:
    if event in EVENTS and _listens:
        _heard.append(event)


sys.addaudithook(_hear)


class Chooser(torch.nn.Module):
    """Has graphs within its graph."""

    def forward(self, x: Any) -> Any:
        return torch.cond(x.sum() > 0, lambda y: y + 1.0, lambda y: y * 2.0, (x,))


@cache
def _records(kind: str) -> dict[str, bytes]:
    """The archive of a sound program."""
    rows = {"input": {0: torch.export.Dim("batch")}}
    module, shapes = (m.mlp(), rows) if kind == "rows" else (Chooser(), None)
    with TemporaryDirectory() as folder:
        path = m.export(module, [torch.zeros(2, 4)], Path(folder) / "model.pt2", shapes)
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(params=["rows", "branches"])
def program(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], str]:
    """Loads the program with another document and runs it; "" or why that was refused."""
    monkeypatch.chdir(tmp_path)
    path, records = tmp_path / "model.pt2", _records(request.param)
    name = next(name for name in records if name.endswith(DOCUMENT))

    def load(document: Any) -> str:
        with zipfile.ZipFile(path, "w") as archive:
            for each, data in records.items():
                archive.writestr(each, json.dumps(document).encode() if each == name else data)
        _heard.clear()
        _listens.append(True)
        try:
            _, loaded = exported.load(ModelDir.of(tmp_path), "model.pt2")
            loaded(torch.zeros(2, 4))
        except LoadError as error:
            return str(error)
        except Exception as error:  # a graph that passes, and means nothing
            return type(error).__name__
        finally:
            _listens.clear()
        return ""

    load.document = json.loads(records[name])  # type: ignore[attr-defined]
    return load


def _some(cases: list[Case], count: int) -> list[Case]:
    """All of them where that is asked for, else as many, at random."""
    return cases if EVERY else random.Random(count).sample(cases, min(count, len(cases)))


def _nothing_ran(folder: Path) -> bool:
    return not _heard and {entry.name for entry in folder.iterdir()} == {"model.pt2"}


def test_nothing_runs_whatever_stands_in_which_place(program: Any, tmp_path: Path) -> None:
    assert program(program.document) == ""
    refused = 0
    for name, make in _some(list(evasions.evasions(program.document)), 120):
        refused += bool(program(make()))
        assert _nothing_ran(tmp_path), name
    assert refused


@pytest.mark.parametrize("seed", range(2))
def test_nothing_runs_where_several_are_put_together(program: Any, tmp_path: Path, seed: int) -> None:
    for document in evasions.mutations(program.document, seed, 5000 if EVERY else 30):
        program(document)
        assert _nothing_ran(tmp_path)


@pytest.mark.parametrize("operator", evasions.OPERATORS)
def test_no_spelling_of_an_operator_that_is_not_known_passes(program: Any, tmp_path: Path, operator: str) -> None:
    """Wherever a program names an operator: in its graph, in the graphs within, as an argument."""
    found = 0
    for place in evasions.operators_in(program.document):
        found += 1
        reason = program(evasions.put(program.document, place, operator))
        assert "not known to be harmless" in reason or "which is no operator" in reason, (place, reason)
        assert _nothing_ran(tmp_path)
    assert found
