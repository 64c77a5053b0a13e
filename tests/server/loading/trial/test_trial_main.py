"""One trial, from the child's side: what it announces, and what it answers to whatever a model does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Parameters
from server.loading.trial import trial_main
from tests.server.stand_ins import EchoAdapter, stand_ins


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[EchoAdapter]]:
    with stand_ins(monkeypatch) as adapter:
        yield adapter


def tried(folder: Path, line: str, **job: Any) -> tuple[dict[str, Any], list[str]]:
    (folder / "m.echo").write_text(line)
    stages: list[str] = []
    place = {"path": str(folder), "root": str(folder)}
    wanted = {"adapter": "echo", "file": "m.echo", "options": {}, **place, **job}
    return trial_main._try(wanted, stages.append), stages


def test_a_sound_model_is_measured_and_closed(tmp_path: Path, echo: type[EchoAdapter]) -> None:
    answer, stages = tried(tmp_path, "echo")
    assert stages == ["example"]
    assert answer["ok"]
    assert answer["batchable"]
    assert answer["example_error"] == ""
    assert answer["memory_bytes"] >= 0
    assert [model.closed for model in echo.made] == [1]


def test_options_and_evidence_go_both_ways(
    tmp_path: Path, echo: type[EchoAdapter], monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence: Parameters = {"proved": True}
    monkeypatch.setattr(EchoAdapter, "evidence", lambda self: evidence)
    answer, _ = tried(tmp_path, "echo", options={"factor": 3})
    assert answer["evidence"] == evidence
    assert echo.made[0].options_given == {"factor": 3}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("echo refuse", "m.echo is refused"),
        ("echo crash", "ZeroDivisionError: by zero"),
        ("echo exit", "SystemExit: 3"),
    ],
)
def test_whatever_it_raises_is_a_reason(tmp_path: Path, line: str, reason: str) -> None:
    assert tried(tmp_path, line) == ({"ok": False, "reason": reason}, [])


def test_an_adapter_that_nobody_knows(tmp_path: Path) -> None:
    answer, _ = tried(tmp_path, "echo", adapter="ecko")
    assert answer == {"ok": False, "reason": "adapter 'ecko' is unknown: did you mean 'echo'?"}


def test_a_failure_on_the_example_is_told_beside_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise ValueError("poison")

    monkeypatch.setattr(EchoAdapter, "predict", fail)
    answer, stages = tried(tmp_path, "echo")
    assert stages == ["example"]
    assert answer["ok"]
    assert "poison" in answer["example_error"]
