"""A server for one model of a folder: it comes, serves, and goes; what cannot be served is a reason."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import click
import pytest

from server.cli.main import Failure
from server.cli.temporary_server import _free_ports, folder_of, serving
from tests.processes import descendants


def test_which_folder_is_meant(tmp_path: Path) -> None:
    (tmp_path / "iris").mkdir()
    (tmp_path / ".hidden").mkdir()
    assert folder_of("iris", tmp_path) == tmp_path / "iris"
    for name, said in [("irsi", "did you mean iris?"), ("xyz", "there are iris"), ("..", "there are iris")]:
        with pytest.raises(click.UsageError, match=f"holds no model '.*': {said}".replace("?", r"\?")):
            folder_of(name, tmp_path)
    with pytest.raises(click.UsageError, match="it holds no folder"):
        folder_of("x", tmp_path / "iris")


def test_its_ports_are_free_and_none_that_clients_are_given() -> None:
    ports = _free_ports()
    assert len(set(ports)) == 2
    assert all(20_000 <= port < 32_768 for port in ports)
    with contextlib.ExitStack() as held:
        for port in ports:
            held.enter_context(socket.create_server(("", port)))


@pytest.mark.slow
def test_it_serves_one_model_and_ends(iris: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYSERVE_HTTP_PORT", "1")
    monkeypatch.setenv("STORAGE_URI", "s3://other/model")
    before = {process.pid for process in descendants()}
    with serving("iris", iris.parent) as server:
        assert "iris" in (server.rest.names() or [])
        parameters = server.rest.model("iris")["parameters"]
        assert parameters["adapter"] == "sklearn"
    assert {process.pid for process in descendants()} <= before


@pytest.mark.slow
def test_a_model_that_cannot_be_served(tmp_path: Path) -> None:
    (tmp_path / "b d").mkdir()
    (tmp_path / "b d" / "model.txt").write_text("tree\nversion=v4\nnonsense")
    with pytest.raises(Failure, match=r"b\Wd cannot be served: .*model\.txt"), serving("b d", tmp_path):
        pass


@pytest.mark.slow
def test_a_server_that_does_not_start(iris: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSERVE_OPENAI_ROUTE_PREFIX", "no path")
    reason = r"the server of iris ended: .*KSERVE_OPENAI_ROUTE_PREFIX"
    with pytest.raises(Failure, match=reason), serving("iris", iris.parent):
        pass
