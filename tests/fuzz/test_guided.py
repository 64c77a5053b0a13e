"""Coverage-guided fuzzing without atheris, which `make fuzz` alone brings: what its targets begin with passes them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz import guided
from tests.fuzz.guided_targets import TARGETS, Target

NOTHING = (b"", b"\0", b"{", b"\xff" * 40)


@pytest.mark.parametrize("name", TARGETS)
def test_what_a_target_begins_with_is_no_finding(name: str) -> None:
    for data in (*NOTHING, *TARGETS[name].seeds()):
        TARGETS[name].check(data)


def test_what_was_found_is_found_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(data: bytes) -> None:
        raise KeyError(data)

    monkeypatch.setitem(TARGETS, "crash", Target(crash, list))
    file = tmp_path / "crash-1"
    file.write_bytes(b"x")
    monkeypatch.setattr(sys, "argv", ["guided", "--target", "crash", "--replay", str(file)])
    with pytest.raises(KeyError, match="x"):
        guided.main()


def test_without_atheris_it_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(guided, "has_atheris", lambda: False)
    monkeypatch.setattr(sys, "argv", ["guided"])
    assert guided.main() == 0
    assert "atheris is not here" in capsys.readouterr().out


def test_how_many_there_were() -> None:
    assert guided.executions("INFO: a\nstat::number_of_executed_units: 1234\nstat::slowest_unit_time_sec: 0\n") == 1234
    assert guided.executions("killed") == 0
