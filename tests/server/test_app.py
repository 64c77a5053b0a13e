"""How the server is put together from its settings: front processes, and ports that others have."""

from __future__ import annotations

import logging
import socket
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from server.api.kserve.argv import arguments
from server.config.settings import Settings
from server.loading.memory_budget import Budget
from server.repository.store import ModelStore


@pytest.fixture(scope="module")
def app() -> ModuleType:
    with arguments(Settings()):
        from server import app
    return app


@pytest.fixture
def taken() -> Any:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_one_process_has_no_front_processes(app: ModuleType) -> None:
    assert app._frontends(Settings(workers=1), Budget(None), ModelStore()) is None


def test_a_memory_budget_leaves_all_requests_to_one_process_and_says_so(
    app: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "kserve"):
        assert app._frontends(Settings(workers=3), Budget(2**30), ModelStore()) is None
    assert "--workers=3: with --memory_budget one process takes all requests" in caplog.text


def test_several_processes_meet_in_a_directory_of_their_own(
    app: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    frontends = app._frontends(Settings(workers=3), Budget(None), ModelStore())
    assert frontends.directory.parent == tmp_path
    frontends.remove_directory()
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(SystemExit, match="TMPDIR"):
        app._frontends(Settings(workers=3), Budget(None), ModelStore())


def test_a_port_that_others_have_is_named(app: ModuleType, taken: int) -> None:
    class Server:
        _settings = Settings(http_port=taken, workers=2)
        _frontends = object()

    with pytest.raises(SystemExit, match=f"--http_port={taken} is taken"):
        app.PolyServer._listener(Server())
    with pytest.raises(SystemExit, match=f"--http_port={taken} is taken.*name another"):
        app.PolyServer._check_port(Server())
    Server._frontends = None  # type: ignore[assignment]
    assert app.PolyServer._listener(Server()) is None


def test_a_socket_that_cannot_be_is_named_before_models_are_loaded(app: ModuleType, tmp_path: Path) -> None:
    class Server:
        _settings = Settings(http_port=0, uds=tmp_path)

    with pytest.raises(SystemExit, match=f"--uds={tmp_path} cannot be listened on: there is something that is no"):
        app.PolyServer._check_port(Server())
