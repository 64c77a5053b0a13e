"""What the image's build decides before it installs anything; that it installs it is for tests/test_image.py."""

from __future__ import annotations

import importlib.util
import tomllib
from types import ModuleType

import pytest

from tests.deploy.manifests import DEPLOY, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", DEPLOY / "image" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("chosen", "torch", "xgboost"),
    [
        (["all"], True, True),
        (["sklearn", "xgboost"], False, True),
        (["sentence-transformers"], True, False),
        (["skops", "mlflow"], False, False),
    ],
)
def test_what_extras_ask_for(install: ModuleType, chosen: list[str], torch: bool, xgboost: bool) -> None:
    names = install.closure(PROJECT["optional-dependencies"], chosen, PROJECT["name"])
    assert ("torch" in names, "xgboost" in names) == (torch, xgboost)
    assert PROJECT["name"] not in names


def test_extras_of_extras_are_counted_once(install: ModuleType) -> None:
    extras = {"a": ["one>=1; python_version > '3'", "us[b,c]"], "b": ["us[a]", "two[x]==2"], "c": ["three"]}
    assert install.closure(extras, ["a"], "us") == {"one", "two", "three"}


@pytest.mark.parametrize("name", ["torch", "xgboost", "uv"])
def test_versions_are_the_tested_ones(install: ModuleType, name: str) -> None:
    wanted = install.pin((ROOT / "constraints.txt").read_text(), name)
    assert wanted.startswith(f"{name}==")


@pytest.mark.parametrize(
    ("argv", "message"),
    [(("sklearn,tensorflw", "false"), r"unknown in FRAMEWORKS: \['tensorflw'\]"), (("sklearn", "yes"), "GPU=yes")],
)
def test_a_wrong_choice_is_refused_before_anything_is_installed(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(install, "run", lambda *_: pytest.fail("it installs"))
    with pytest.raises(SystemExit, match=message):
        install.main(*argv)
