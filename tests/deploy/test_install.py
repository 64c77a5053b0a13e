"""What the image's build decides before it installs anything; that it installs it is for tests/test_image.py."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import pytest

from tests.deploy.manifests import DEPLOY

IMAGE = DEPLOY / "image"
NEEDS: dict[str, list[str]] = json.loads((IMAGE / "extras.json").read_text())
CUDA_ONLY = {"triton", "nvidia-nccl-cu12", "nvidia-cublas", "cuda-toolkit"}


@pytest.fixture
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", IMAGE / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest, install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install.platform, "machine", lambda: request.param)


class Recorder:
    """What would be installed, in its order."""

    def __init__(self, module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[set[str]] = []
        self.torch = self.xgboost = ""
        monkeypatch.setattr(module, "install", self.install)
        monkeypatch.setattr(module, "install_torch", lambda build: setattr(self, "torch", build))
        monkeypatch.setattr(module, "replace_xgboost", lambda build, site: setattr(self, "xgboost", build))

    def install(self, requirements: Iterable[str], *argv: str) -> bool:
        self.batches.append({text.partition("==")[0] for text in requirements})
        return True


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("frameworks", "torch", "xgboost"),
    [
        ("all", True, True),
        ("sklearn,xgboost", False, True),
        ("sentence-transformers", True, False),
        ("skops,mlflow", False, False),
    ],
)
def test_what_extras_ask_for_on_processors(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, frameworks: str, torch: bool, xgboost: bool
) -> None:
    (tmp_path / "lib" / "python3" / "site-packages").mkdir(parents=True)
    monkeypatch.setattr(install, "VENV", str(tmp_path))
    recorder = Recorder(install, monkeypatch)
    install.main(frameworks, "false")
    (batch,) = recorder.batches
    assert batch >= set(NEEDS[""]) - CUDA_ONLY
    assert not batch & CUDA_ONLY
    assert "torch" not in batch
    assert ("torch==" in recorder.torch, "xgboost-cpu==" in recorder.xgboost) == (torch, xgboost)


@pytest.mark.usefixtures("machine")
def test_with_cuda_everything_is_the_indexs_own(install: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(install, monkeypatch)
    install.main("all", "true")
    (batch,) = recorder.batches
    assert batch >= {"torch", "xgboost", *CUDA_ONLY}
    assert (recorder.torch, recorder.xgboost) == ("", "")


@pytest.mark.parametrize("group", ["build", "bom"])
def test_the_builds_own_tools(install: ModuleType, monkeypatch: pytest.MonkeyPatch, group: str) -> None:
    recorder = Recorder(install, monkeypatch)
    install.main(group)
    assert recorder.batches == [set(NEEDS[group])]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("sklearn,tensorflw", "false"), r"unknown in FRAMEWORKS: \['tensorflw'\]; known are .*'sklearn'"),
        (("sklearn,bom", "false"), r"unknown in FRAMEWORKS: \['bom'\]"),
        (("sklearn", "yes"), "GPU=yes"),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_is_installed(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], message: str
) -> None:
    monkeypatch.setattr(install, "run", lambda *_, **__: pytest.fail("it installs"))
    with pytest.raises(SystemExit, match=message):
        install.main(*argv)


def _hash_of_wheel(folder: Path, version: str) -> str:
    """Of one that is made now: own-thing, with nothing in it."""
    wheel, info = folder / f"own_thing-{version}-py3-none-any.whl", f"own_thing-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: own-thing\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


@pytest.mark.slow
def test_uv_finds_the_hash_of_a_build_whose_version_says_so(install: ModuleType, tmp_path: Path) -> None:
    """It looks hashes up by the version that it finds: for 2.13.0+cpu `torch==2.13.0` has none."""
    digest = _hash_of_wheel(tmp_path, "1.0+cpu")
    uv = (str(Path(sys.executable).with_name("uv")), "pip", "install", "--no-cache", "--no-index", "--no-config")
    where = (f"--find-links={tmp_path}", f"--target={tmp_path / 'target'}", f"--python={sys.executable}")
    build = install.locked(IMAGE / "torch-cpu.txt")["torch"].partition(" ")[0]
    assert build == f"torch=={importlib.metadata.version('torch').partition('+')[0]}+cpu"
    said = f"own-thing==1.0+{build.rpartition('+')[2]} --hash=sha256:{digest}\n"
    assert install.install([said], *where, installer=uv, check=False)


@pytest.mark.slow
def test_a_file_of_another_hash_is_not_installed(install: ModuleType, tmp_path: Path) -> None:
    folder, target = str(tmp_path), str(tmp_path / "target")
    where = ("--no-index", f"--find-links={folder}", f"--target={target}")
    right, wrong = _hash_of_wheel(tmp_path, "1.0"), "0" * 64
    assert not install.install([f"own-thing==1.0 --hash=sha256:{wrong}\n"], *where, check=False)
    assert not (tmp_path / "target").exists()
    assert not install.install(["own-thing==1.0\n"], *where, check=False)
    assert install.install([f"own-thing==1.0 --hash=sha256:{right}\n"], *where, check=False)


def test_torch_without_a_known_hash_says_the_ways_out(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", str(tmp_path))
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "target"))
    with pytest.raises(SystemExit, match=r"PIP_EXTRA_INDEX_URL=ADDRESS.*torch-cpu\.txt.*GPU=true"):
        install.install_torch(install.locked(IMAGE / "torch-cpu.txt")["torch"])
