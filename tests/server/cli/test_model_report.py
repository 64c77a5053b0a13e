"""What is found out about a folder without running anything of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import registry
from server.cli.model_report import ModelReport, report_of
from server.config.settings import Settings
from server.loading.assembly import Assembly


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[object]:
    """reports(**files by model) -> the reports by name"""
    assemblies = []

    def reports(trust: str = "code", load: bool = True, **models: dict[str, str]) -> dict[str, ModelReport]:
        for name, files in models.items():
            for file, text in files.items():
                (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name / file).write_text(text)
        assembly = Assembly.of(Settings(model_dir=tmp_path, trust=trust))
        assembly.allow_imports()
        assemblies.append(assembly)
        trials = assembly.trials if load else None
        return {each.name: report_of(each, assembly.loader, trials) for each in assembly.catalog.found}

    yield reports
    for assembly in assemblies:
        assembly.close()


CODE = """
import pathlib
pathlib.Path({marker!r}).touch()
import kserve
class Mine(kserve.Model):
    def predict(self, payload, headers=None):
        return payload
"""


def test_code_is_looked_at_and_never_run(reports, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = CODE.format(marker=str(marker))
    trees = {"model.txt": "tree\nversion=v4\n", "requirements.txt": "nothing"}
    found = reports(mine={"model.py": code}, wanting=trees)
    assert (found["mine"].adapter, found["mine"].trust) == ("custom", "code")
    assert found["mine"].note == "not loaded: it brings code of its own"
    assert found["wanting"].note == "not loaded: it brings requirements of its own"
    for each in found.values():
        assert (each.signature, each.problem, each.to_fields()["loads"]) == (None, "", None)
    assert not marker.exists()


def test_trust_in_full_is_not_taken(reports, iris: Path, tmp_path: Path) -> None:
    """A pickle whose checks are off may run whatever it names."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "model.joblib").write_bytes((iris / "model.joblib").read_bytes())
    found = reports(full={"polyserve.yaml": "trust: full\n"})["full"]
    assert (found.trust, found.signature) == ("code", None)
    assert "not loaded" in found.note


@pytest.mark.slow
def test_a_signature_is_found_by_loading_in_a_child(reports, iris: Path, tmp_path: Path) -> None:
    (tmp_path / "iris").symlink_to(iris)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "model.joblib").write_bytes((iris / "model.joblib").read_bytes())
    found = reports()["copy"]
    assert found.signature is not None
    assert found.signature.columns[0] == "sepal length (cm)"
    assert (found.adapter, found.why, found.trust) == ("sklearn", "model.joblib by its content", "pickle")
    assert found.made_by.startswith("scikit-learn ")
    assert found.size == (iris / "model.joblib").stat().st_size
    fields = found.to_fields()
    assert fields["loads"] is True
    assert fields["signature"]["inputs"] == [
        {"name": "input-0", "datatype": "FP64", "shape": [-1, 4], "optional": False}
    ]
    unloaded = reports(load=False)["copy"]
    assert (unloaded.signature, unloaded.adapter) == (None, "sklearn")


def test_reasons_name_the_adapter_and_what_is_missing(reports, monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = registry.adapters()["lightgbm"]
    monkeypatch.setattr(adapter, "requires", ("lightgbm", "no_such_module"))
    found = reports(
        trees={"model.txt": "tree\nversion=v4\n"}, typo={"model.txt": "x", "polyserve.yaml": "adaptor: x\n"}
    )
    assert (found["trees"].adapter, found["trees"].missing) == ("lightgbm", ("no_such_module",))
    assert "pip install no_such_module" in found["trees"].problem
    assert found["typo"].problem == "polyserve.yaml: unknown key adaptor; did you mean adapter?"
    assert all(each.fails and each.to_fields()["loads"] is False for each in found.values())


def test_what_code_imports_and_is_not_there_is_told(reports) -> None:
    code = "import no_such_package\n" + CODE.format(marker="/nowhere")
    found = reports(mine={"model.py": code}, own={"model.py": code, "requirements.txt": "no_such_package"})
    assert found["mine"].note.startswith(
        "model.py imports no_such_package, which is not installed: list what it needs in requirements.txt; not loaded"
    )
    assert found["own"].note == "not loaded: it brings requirements of its own"


@pytest.mark.slow
def test_the_version_that_serves_in_the_place_of_another_is_named(reports, iris: Path, tmp_path: Path) -> None:
    for version in ("1", "2", "3"):
        (tmp_path / "tree" / version).mkdir(parents=True)
        (tmp_path / "tree" / version / "model.joblib").write_bytes((iris / "model.joblib").read_bytes())
    for version in ("2", "3"):
        (tmp_path / "tree" / version / "model.joblib").write_bytes(b"\x80\x04broken")
    found = reports()["tree"]
    assert (found.version, found.fails) == ("3", True)
    assert found.advice.endswith("; version 1 is served in its place")


def test_less_trust_than_it_needs(reports) -> None:
    found = reports(trust="safe", mine={"model.py": CODE.format(marker="/nowhere")})["mine"]
    assert "--trust=code" in found.problem


@pytest.mark.slow
def test_a_damaged_file_is_a_reason(reports) -> None:
    found = reports(bad={"model.txt": "tree\nversion=v4\nnum_class=1\nnonsense"})["bad"]
    assert found.problem
    assert found.adapter == "lightgbm"
