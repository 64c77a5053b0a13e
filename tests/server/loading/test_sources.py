"""The models of the mount and of stores, beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.config.settings import Settings
from server.loading.catalog import NameTaken, NoModelDir
from server.loading.lookout import Lookout
from server.loading.sources import Rescan, catalog_of
from tests.server.stand_ins import EchoAdapter

pytestmark = pytest.mark.usefixtures("echo")


def settings(root: Path, *argv: str, **environ: str) -> Settings:
    return Settings.parse([f"--model_dir={root}", f"--storage_dir={root}-cache", *argv], environ)


def mount(root: Path, *names: str) -> Path:
    root.mkdir()
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "m.echo").write_text("echo")
    return root


def names(*args: object, **environ: str) -> list[str]:
    catalog = catalog_of(settings(*args, **environ))  # type: ignore[arg-type]
    return [found.name for found in catalog.found]


def test_both(tmp_path: Path, echo: type[EchoAdapter]) -> None:
    root = mount(tmp_path / "models", "a", "b")
    catalog = catalog_of(settings(root, "--model=c=s3://bucket/c", "--model=d=hf://o/d"))
    assert [found.name for found in catalog.found] == ["a", "b", "c", "d"]
    assert [found.source is not None for found in catalog.found] == [False, False, True, True]
    assert not catalog.single


def test_a_name_twice_names_both(tmp_path: Path) -> None:
    root = mount(tmp_path / "models", "iris")
    with pytest.raises(NameTaken) as refused:
        catalog_of(settings(root, "--model=iris=https://u:hush@host/iris.zip?sig=hush"))
    assert str(refused.value) == f"two models are called 'iris': {root / 'iris'} and https://host/iris.zip"


def test_without_a_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "model_dir", tmp_path / "none")
    absent = Settings(model_dir=tmp_path / "none", models=Settings.parse(["--model=c=s3://b/c"], {}).models)
    catalog = catalog_of(absent)
    assert [found.name for found in catalog.found] == ["c"]
    assert catalog.single
    assert catalog.notes == ()
    with pytest.raises(NoModelDir, match="does not exist"):
        catalog_of(Settings(model_dir=tmp_path / "none"))


def test_a_mount_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(NoModelDir, match="does not exist"):
        catalog_of(settings(tmp_path / "none", "--model=c=s3://b/c"))


def test_storage_uri(tmp_path: Path) -> None:
    root = mount(tmp_path / "models")
    assert names(root, STORAGE_URI="s3://b/m") == ["model"]
    assert names(root, STORAGE_URI="s3://b/m", MODEL_NAME="iris") == ["iris"]
    assert names(root, "--model=c=s3://b/c", STORAGE_URI="s3://b/m") == ["model", "c"]
    assert catalog_of(settings(root, STORAGE_URI="s3://b/m")).single
    with pytest.raises(NameTaken, match=r"two models are called 'c': s3://b/m and s3://b/c"):
        names(root, "--model=c=s3://b/c", STORAGE_URI="s3://b/m", MODEL_NAME="c")


def test_what_kserve_has_mounted_comes_before_storage_uri(tmp_path: Path) -> None:
    root = mount(tmp_path / "models")
    (root / "m.echo").write_text("echo")
    catalog = catalog_of(settings(root, STORAGE_URI="s3://u:hush@b/m", MODEL_NAME="iris"))
    assert [(found.name, found.source) for found in catalog.found] == [("iris", None)]
    assert catalog.single
    assert f"STORAGE_URI=s3://b/m is not used: {root} holds models already" in catalog.notes


@pytest.mark.parametrize("uri", ["pvc://claim/models/iris", "oci+native://registry/image"])
def test_what_only_kserve_can_mount(uri: str, tmp_path: Path) -> None:
    root = mount(tmp_path / "models", "a")
    assert names(root, STORAGE_URI=uri) == ["a"]
    with pytest.raises(NoModelDir, match="nothing is mounted, and what can be downloaded is s3://"):
        names(mount(tmp_path / "empty"), STORAGE_URI=uri)


def test_an_empty_mount_is_no_news_beside_a_store(tmp_path: Path) -> None:
    root = mount(tmp_path / "models")
    assert "is empty" in catalog_of(settings(root)).notes[0]
    assert catalog_of(settings(root, "--model=c=s3://b/c")).notes == ()


def test_a_newcomer_with_a_stored_models_name_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At the start it is a mistake; later it is somebody's who can add a folder."""
    known = settings(mount(tmp_path / "models", "a"), "--model=iris=s3://bucket/iris")
    rescan = Rescan(known, catalog_of(known), Lookout(known.model_dir))
    (tmp_path / "models" / "iris").mkdir()
    (tmp_path / "models" / "b").mkdir()
    for _ in range(3):
        found = rescan().found
    assert [(each.name, each.source is not None) for each in found] == [("a", False), ("b", False), ("iris", True)]
    assert caplog.messages == [f"{tmp_path / 'models' / 'iris'} is not served: s3://bucket/iris has its name"]


def test_versions_and_stores_beside_each_other(tmp_path: Path) -> None:
    root = mount(tmp_path / "models", "v/1", "v/2")
    (root / "v" / "polyserve.yaml").write_text("versions: all")
    assert names(root, "--model=c=s3://bucket/c") == ["v", "v", "c"]


def test_a_mount_stays_what_it_was(tmp_path: Path) -> None:
    known = settings(mount(tmp_path / "models", "1"))
    rescan = Rescan(known, catalog_of(known), Lookout(known.model_dir))
    (tmp_path / "models" / "b").mkdir()
    (tmp_path / "models" / "b" / "m.echo").write_text("echo")
    for _ in range(2):
        assert [(each.key, bool(each.problem)) for each in rescan().found] == [
            (("model", "1"), False),
            (("b", ""), True),
        ]
    assert [each.name for each in catalog_of(known).found] == ["1", "b"]
