"""What a directory holds, before anything of it is loaded."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from adapters.base import LoadError, ModelDir, Trust
from server.loading.catalog import Found
from server.loading.recognition import Recognised, Recogniser
from tests.server.stand_ins import EchoAdapter


def recognised(folder: Path, config: str = "", version: str = "", line: str = "echo", **settings: Any) -> Recognised:
    (folder / "model.echo").write_text(line)
    (folder / "polyserve.yaml").write_text(config)
    defaults = {
        "prefer_proba": False,
        "allowed": Trust.CODE,
        "verifier": None,
        "auto_env": False,
        "default_options": {},
    }
    return Recogniser(threading.Event(), **{**defaults, **settings}).recognise(
        Found("a", ModelDir.of(folder), version=version)
    )


@pytest.mark.usefixtures("echo")
def test_it_is_told_and_not_loaded(tmp_path: Path) -> None:
    found = recognised(tmp_path, "options: {factor: 2}")
    assert (found.choice.adapter, found.choice.match.file) == (EchoAdapter, "model.echo")
    assert found.options == {"factor": 2.0}
    assert found.directory.name == "a"
    assert not EchoAdapter.begun


@pytest.mark.usefixtures("echo")
def test_a_damaged_file_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"model\.echo is damaged"):
        recognised(tmp_path, line="something else")


@pytest.mark.usefixtures("echo")
def test_the_folder_says_more_than_the_flags(tmp_path: Path) -> None:
    flags: Any = {"prefer_proba": True, "default_options": {"factor": 5.0, "of_another_adapter": 1}}
    assert recognised(tmp_path, **flags).options == {"factor": 5.0, "predict_proba": True}
    own = recognised(tmp_path, "options: {factor: 2, predict_proba: false}", **flags)
    assert own.options == {"factor": 2.0, "predict_proba": False}


@pytest.mark.usefixtures("echo")
def test_full_trust_takes_the_folder_and_the_server(tmp_path: Path) -> None:
    full = recognised(tmp_path, "trust: full")
    assert full.directory.trusted
    assert full.options == {"trust": "full"}
    assert not recognised(tmp_path, "trust: full", allowed=Trust.PICKLE).directory.trusted
    assert not recognised(tmp_path).directory.trusted
