"""`polyserve doctor`: for people and for programs."""

from __future__ import annotations

import json

import pytest

from adapters import registry
from server.cli import diagnosis
from server.cli.main import run


def test_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok") and "scikit-learn" in line for line in lines)


def test_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["adapters"].keys() == registry.adapters().keys()
    assert document["machine"]["Python"]["state"] == "ok"


def test_what_must_be_mended_is_a_failure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_NEEDED", ("no-such-package",))
    assert run(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "pip install no-such-package" in out
    assert out.splitlines()[-1] == "1 thing has to be mended: packages"
