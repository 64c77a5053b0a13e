"""`polyserve check`: models are loaded as the server loads them, and asked what is recorded for them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.server.cli.conftest import command

pytestmark = pytest.mark.slow

CODE = """
import kserve
class Doubling(kserve.Model):
    def predict(self, payload, headers=None):
        print("noise of the model's own")
        return {"predictions": [2 * each for each in payload["instances"]]}
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, iris: Path) -> Path:
    """One that is well, one whose examples it does not answer, one of code with examples."""
    root = tmp_path_factory.mktemp("models")
    for name in ("good", "wrong"):
        (root / name).mkdir()
        (root / name / "model.joblib").write_bytes((iris / "model.joblib").read_bytes())
    request = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
    (root / "good" / "examples.json").write_text(json.dumps([{"request": request, "response": {"predictions": [0]}}]))
    (root / "wrong" / "examples.json").write_text(json.dumps([{"request": request, "response": {"predictions": [2]}}]))
    (root / "code").mkdir()
    (root / "code" / "model.py").write_text(CODE)
    doubled = {"request": {"instances": [1, 2]}, "response": {"predictions": [2, 4]}}
    (root / "code" / "examples.json").write_text(json.dumps([doubled, doubled]))
    return root


def test_what_is_well_and_what_is_not(models: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    ended = command("check", str(models), "--json", f"--junit={report}", "--github")
    assert ended.status == 1
    found = json.loads(ended.out)
    assert found["failed"] == 1
    assert [each["name"] for each in found["models"]] == ["code", "good", "wrong"]
    by_name = {each["name"]: each for each in found["models"]}
    assert (by_name["good"]["examples"], by_name["good"]["failed"], by_name["good"]["problem"]) == (1, False, "")
    assert (by_name["code"]["examples"], by_name["code"]["adapter"]) == (2, "custom")
    assert by_name["wrong"]["failed"]
    assert "examples.json: entry 1: predictions[0]: expected 2, got 0" in by_name["wrong"]["problem"]
    (line,) = [line for line in ended.err.splitlines() if line.startswith("::")]
    assert line.startswith(f"::error file={models}/wrong,title=polyserve check%3A wrong::")
    suite = ElementTree.fromstring(report.read_bytes())
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")


def test_for_people(models: Path) -> None:
    ended = command("check", str(models), "--trust=pickle")
    lines = {line.split()[1]: line for line in ended.out.splitlines() if line[:4] in ("ok  ", "FAIL")}
    assert lines["good"].startswith("ok")
    assert "1 recorded" in lines["good"]
    assert lines["code"].startswith("FAIL")
    assert "--trust=code" in lines["code"]
    assert ended.out.splitlines()[-1].startswith("3 models checked in ")
    assert ended.status == 1


def test_one_model_that_is_well(models: Path) -> None:
    ended = command("check", str(models / "good"), POLYSERVE_LOAD="lazy", POLYSERVE_MEMORY_BUDGET="1MiB")
    assert ended.status == 0, ended.err
    assert "all are well" in ended.out


def test_no_model_is_a_failure(tmp_path: Path) -> None:
    ended = command("check", str(tmp_path))
    assert ended.status == 1
    assert "holds no model: put each into a folder of its own" in ended.out


def test_a_report_that_cannot_be_written_is_said_at_once(models: Path) -> None:
    ended = command("check", str(models), "--junit=/nowhere/report.xml")
    assert (ended.status, ended.out) == (2, "")
    assert "there is no folder /nowhere: make it first" in ended.err
