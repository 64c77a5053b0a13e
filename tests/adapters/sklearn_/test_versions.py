from __future__ import annotations

import importlib.metadata
from pathlib import Path

import joblib
import pandas as pd
import pytest
import sklearn.base
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adapters.base import Match, ModelDir
from adapters.sklearn_ import SklearnAdapter, versions


def match_of(folder: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> Match:
    """The claim on a model whose pickle says that this version made it."""
    monkeypatch.setattr(sklearn.base, "__version__", version)
    joblib.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), folder / "model.joblib")
    monkeypatch.undo()
    match = SklearnAdapter.match(ModelDir.of(folder))
    assert match is not None
    assert not match.problem
    return match


def test_the_installed_version_needs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = importlib.metadata.version("scikit-learn")
    minor = installed.rpartition(".")[0]
    for version in (installed, f"{minor}.0", f"{minor}.99"):
        assert match_of(tmp_path, monkeypatch, version).origin is None


def test_another_minor_version_names_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    origin = match_of(tmp_path, monkeypatch, "1.5.2").origin
    assert origin is not None
    assert (origin.made_by, origin.installed) == ("scikit-learn 1.5.2", importlib.metadata.version("scikit-learn"))
    wanted = {requirement.name: requirement for requirement in map(Requirement, origin.requirements.splitlines())}
    assert str(wanted["scikit-learn"]) == "scikit-learn==1.5.2"
    assert wanted.keys() >= {"numpy", "scipy"}


def test_a_version_that_this_code_does_not_know_is_left_to_the_resolver() -> None:
    assert versions.requirements_of("2.0.1") == "scikit-learn==2.0.1"


@pytest.mark.parametrize("version", ["0.20.3", "1.0.2", "1.1.2"])
def test_a_version_without_a_build_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    origin = match_of(tmp_path, monkeypatch, version).origin
    assert origin is not None
    assert origin.requirements == ""
    assert origin.problem.startswith("for which no build for Python 3.1")


@pytest.mark.parametrize("version", ["", "1.5.dev0", "1.5.2 --index-url https://evil.example", "1.5.2\nevil", "x" * 99])
def test_what_is_no_version_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    assert match_of(tmp_path, monkeypatch, version).origin is None


@pytest.mark.parametrize("version", ["1.1.3", "1.3.2", "1.4.2", "1.5.2", "1.6.1", "1.7.2", "1.8.0"])
def test_every_line_is_a_requirement(version: str) -> None:
    names = [canonicalize_name(Requirement(line).name) for line in versions.requirements_of(version).splitlines()]
    assert names == ["scikit-learn", "numpy", "scipy"]


def test_what_pandas_3_wrote_names_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It spells its classes as one imports them: `pandas.Index`."""
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
    columns = make_column_transformer((StandardScaler(), frame.columns))
    joblib.dump(
        make_pipeline(columns, LogisticRegression()).fit(frame, [0, 1, 1]),
        path := tmp_path / "model.joblib",
        protocol=2,
    )
    ours = SklearnAdapter.match(ModelDir.of(tmp_path))
    assert ours is not None
    assert ours.origin is None
    path.write_bytes(path.read_bytes().replace(b"cpandas.core.indexes.base\nIndex\n", b"cpandas\nIndex\n"))
    theirs = SklearnAdapter.match(ModelDir.of(tmp_path))
    assert theirs is not None
    assert theirs.problem == ""
    assert theirs.origin is not None
    assert theirs.origin.made_by == "pandas 3"
    assert theirs.origin.installed == f"pandas {pd.__version__}"
    assert theirs.origin.requirements.splitlines()[:2] == ["pandas>=3", "pyarrow"]
    assert [str(Requirement(line)) for line in theirs.origin.requirements.splitlines()]
    monkeypatch.setattr(versions, "_installed", lambda name: "3.1.1" if name == "pandas" else sklearn.__version__)
    there = SklearnAdapter.match(ModelDir.of(tmp_path))
    assert there is not None
    assert there.origin is None
