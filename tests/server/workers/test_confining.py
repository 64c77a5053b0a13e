"""What a worker of one model is left: its folder and what its links lead to; and who it is."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest

from adapters.base import LoadError, ModelDir
from server.runtime.sandbox.launcher import Policy
from server.runtime.sandbox.sandbox import NO_SANDBOX, Sandbox
from server.runtime.sandbox.users import UserRange
from server.workers import confining
from server.workers.confining import confine_to

PYTHON = Path(sys.executable)


@pytest.fixture
def model(tmp_path: Path) -> ModelDir:
    folder = tmp_path / "mount" / "model"
    (folder / "inner").mkdir(parents=True)
    (folder / "model.py").write_text("")
    for each in (tmp_path / "mount", folder, folder / "inner"):
        each.chmod(0o755)
    return ModelDir(folder, tmp_path / "mount", name="model")


def policy_of(sandbox: Sandbox, model: ModelDir) -> Policy:
    confinement = confine_to(sandbox, model, PYTHON)
    assert confinement is not None
    policy = Policy.read(str(confinement.scratch.parent / "policy.json"))
    confinement.close()
    return policy


def test_without_a_sandbox_it_is_as_it_was(model: ModelDir) -> None:
    assert confine_to(NO_SANDBOX, model, PYTHON) is None


def test_the_folder_is_read_and_not_written(model: ModelDir) -> None:
    policy = policy_of(Sandbox(confines=True), model)
    assert str(model.path) in policy.readable
    assert str(model.root) not in policy.readable
    assert not any(path.startswith(str(model.root)) for path in policy.writable)


def test_files_beside_a_version_are_the_models(model: ModelDir, tmp_path: Path) -> None:
    """Triton's config.pbtxt says what a version answers; other versions, and other models, say nothing."""
    version = ModelDir(model.path / "1", model.root, name="model")
    other = model.path / "2"
    for folder in (version.path, other):
        folder.mkdir()
    for file in (model.path / "config.pbtxt", other / "weights", model.root / "readme", tmp_path / "secret"):
        file.write_text("")
    (model.path / "out").symlink_to(tmp_path / "secret")
    policy = policy_of(Sandbox(confines=True), version)
    readable = policy.readable
    assert str(model.path) in policy.listable
    assert {str(version.path), str(model.path / "config.pbtxt")} <= set(readable)
    mine = {path for path in readable if path.startswith(str(tmp_path))}
    assert not mine & {str(other), str(model.path), str(model.root / "readme"), str(model.path / "out")}
    named_one = ModelDir(model.root / "1", model.root, name="1")
    named_one.path.mkdir()
    assert str(model.root / "readme") not in policy_of(Sandbox(confines=True), named_one).readable


def test_what_links_lead_to_is_named_while_it_is_in_the_mount(model: ModelDir, tmp_path: Path) -> None:
    data = model.root / "..data" / "deep"
    data.mkdir(parents=True)
    (data / "weights").write_text("")
    (tmp_path / "secret").write_text("")
    links = {"weights": data / "weights", "folder": data, "out": tmp_path / "secret", "self": model.path}
    for name, target in links.items():
        (model.path / "inner" / name).symlink_to(target)
    readable = policy_of(Sandbox(confines=True), model).readable
    inner = model.path / "inner"
    assert {str(inner / "weights"), str(inner / "folder")} <= set(readable)
    assert str(inner / "out") not in readable


def test_its_user_is_another_one(model: ModelDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confining, "closed_way", lambda paths: "")
    monkeypatch.setattr(os, "chown", lambda *_: None)
    (model.path / "model.py").chmod(0o644)
    assert policy_of(Sandbox(users=UserRange(51001, 51001)), model).user == 51001


def test_a_folder_cannot_choose_the_servers_user(model: ModelDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confining, "closed_way", lambda paths: "")
    (model.path / "model.py").chmod(0o600)
    with pytest.raises(LoadError, match=r"may not read model\.py: let all users read .*--worker_uids=none"):
        confine_to(Sandbox(users=UserRange(51001, 51001)), model, PYTHON)


def test_what_is_in_the_way_of_all_models_is_told(
    model: ModelDir, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(confining, "closed_way", lambda paths: "/root")
    with caplog.at_level(logging.WARNING, "kserve"):
        assert confine_to(Sandbox(users=UserRange(51001, 51001)), model, PYTHON) is None
    assert "runs as the server's own user, root: other users may not enter /root" in caplog.text
