"""A model one level down is found where it is clear which one is meant, and named where it is not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import joblib
import pytest
from sklearn.linear_model import LogisticRegression

from adapters import registry
from adapters.base import LoadError, ModelDir
from adapters.formats import nested


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    joblib.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), folder / "model.joblib")
    return folder


def cache(model: Path, root: Path, *commits: str, main: str = "") -> Path:
    """As huggingface_hub lays it out: links from each snapshot into the blobs."""
    folder = root / "models--acme--forest"
    (folder / "blobs").mkdir(parents=True)
    (folder / "refs").mkdir()
    shutil.copy(model / "model.joblib", folder / "blobs" / "abc")
    for commit in commits:
        (folder / "snapshots" / commit).mkdir(parents=True)
        (folder / "snapshots" / commit / "model.joblib").symlink_to("../../blobs/abc")
    if main:
        (folder / "refs" / "main").write_text(main)
    return folder


def chosen(folder: Path, root: Path | None = None) -> str:
    choice = registry.choose(ModelDir.of(folder, root))
    assert choice.directory is not None
    return os.path.relpath(choice.directory.path, folder)


def test_a_hubs_cache_is_served_at_main(model: Path, tmp_path: Path) -> None:
    folder = cache(model, tmp_path, "1f", "2e", main="2e\n")
    assert nested.is_hub_cache(ModelDir.of(folder))
    assert chosen(folder, tmp_path) == "snapshots/2e"
    assert chosen(folder) == "snapshots/2e"


def test_a_hubs_cache_without_main_is_served_where_there_is_one_snapshot(model: Path, tmp_path: Path) -> None:
    assert chosen(cache(model, tmp_path / "one", "1f")) == "snapshots/1f"
    with pytest.raises(LoadError, match=r"2 one level down: snapshots/1f/, snapshots/2e/; keep one"):
        chosen(cache(model, tmp_path / "two", "1f", "2e", main="../../../etc"))


def test_a_single_checkpoint_is_served_and_several_are_named(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "checkpoint-500")
    (tmp_path / "logs").mkdir()
    (tmp_path / "trainer_state.json").write_text("{}")
    assert chosen(tmp_path) == "checkpoint-500"
    shutil.copytree(model, tmp_path / "checkpoint-1000")
    with pytest.raises(LoadError, match=r"2 one level down: checkpoint-1000/, checkpoint-500/; .*--model_dir"):
        chosen(tmp_path)


def test_what_is_wrong_one_level_down_is_the_reason(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "x")
    shutil.copy(model / "model.joblib", tmp_path / "x" / "other.joblib")
    with pytest.raises(LoadError, match=r"^x/: two candidate models"):
        chosen(tmp_path)


def test_two_levels_down_nobody_looks(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "a" / "b")
    with pytest.raises(LoadError, match="no known model format among a/"):
        chosen(tmp_path)


def test_a_model_of_the_folder_itself_wins(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "m")
    shutil.copytree(model, tmp_path / "m" / "checkpoint-1")
    assert registry.choose(ModelDir.of(tmp_path / "m")).directory is None
    shutil.copytree(model, tmp_path / "v" / "1")
    with pytest.raises(LoadError, match="folder of numbered versions"):
        chosen(tmp_path / "v")


def test_links_out_of_the_mount_are_not_followed(model: Path, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "x").symlink_to(model)
    with pytest.raises(LoadError, match="leads out of the models directory"):
        chosen(tmp_path / "m")


def test_models_in_a_store_of_mlflows_runs_are_named(tmp_path: Path) -> None:
    for place in ("0/run1/artifacts/model", "0/models/m-2/artifacts", "0/run1/artifacts/deeper/than/is/looked"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "MLmodel").write_text("flavors: {}\n")
    (tmp_path / "0" / "meta.yaml").write_text("artifact_location: mlflow-artifacts:/0\n")
    with pytest.raises(
        LoadError, match=r"MLflow keeps some further down: models/m-2/artifacts, run1/artifacts/model; "
    ):
        registry.choose(ModelDir.of(tmp_path / "0", tmp_path))
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "link").symlink_to(tmp_path / "0")
    assert nested.of_mlflow(ModelDir.of(tmp_path / "1")) == []  # out of the models directory
