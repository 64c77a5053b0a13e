"""What uv and pip are told, what of the environment they see, and how their words become a reason."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from adapters.base import LoadError
from server.loading.environments import install
from server.loading.environments.command import CommandsClosed
from server.loading.environments.install import Installation, Installer
from server.loading.environments.requirements import Requirements

DONE = CommandsClosed(0, ())


class Commands:
    """Keeps what would be run, and ends it as it is told."""

    def __init__(self, *ends: CommandsClosed | OSError) -> None:
        self.ends = list(ends)
        self.run_: list[tuple[list[str], dict[str, str]]] = []

    def run(self, command: Any, environ: Any, cwd: Path, timeout: float, label: str, keep: int) -> CommandsClosed:
        self.run_.append((list(command), dict(environ)))
        end = self.ends.pop(0)
        if isinstance(end, OSError):
            raise end
        return end


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "_find_uv", lambda: "/bin/uv")


def installed(folder: Path, commands: Any, wheelhouse: Path | None = None, **more: Any) -> str:
    requirements = Requirements(**{"lines": ["left-pad==1"], **more})
    job = Installation("iris", Path("/env/bin/python"), folder, requirements, 0, 60.0)
    return Installer(wheelhouse, folder / "cache", commands).install(job)


@pytest.mark.usefixtures("uv")
def test_uv_gets_the_requirements_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    commands = Commands(DONE)
    assert installed(tmp_path, commands, constraints=["numpy<3"], options=["--pre"]) == "uv"
    ((command, environ),) = commands.run_
    assert command[:5] == ["/bin/uv", "pip", "install", "--python", "/env/bin/python"]
    assert (tmp_path / "requirements.txt").read_text() == "left-pad==1\n"
    assert (tmp_path / "constraints.txt").read_text() == "numpy<3\n"
    assert "--prerelease=allow" in command
    assert "--pre" not in command
    assert "AWS_SECRET_ACCESS_KEY" not in environ
    assert (environ["PIP_INDEX_URL"], environ["UV_CACHE_DIR"]) == (
        "https://index.example/simple",
        str(tmp_path / "cache"),
    )


@pytest.mark.usefixtures("uv")
def test_from_a_wheelhouse_every_index_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://index.example/simple")
    commands = Commands(DONE)
    installed(tmp_path, commands, wheelhouse=tmp_path)
    ((command, environ),) = commands.run_
    assert {"--no-index", "--no-config", f"--find-links={tmp_path}"} <= set(command)
    assert not {"PIP_INDEX_URL", "UV_DEFAULT_INDEX"} & environ.keys()
    with pytest.raises(LoadError, match=r"--wheelhouse=.*none is not a directory"):
        installed(tmp_path, Commands(), wheelhouse=tmp_path / "none")


@pytest.mark.usefixtures("uv")
def test_hashes_are_asked_for_where_they_are_given(tmp_path: Path) -> None:
    commands = Commands(DONE)
    installed(tmp_path, commands, lines=["left-pad==1 --hash=sha256:" + "0" * 64])
    assert "--require-hashes" in commands.run_[0][0]


@pytest.mark.usefixtures("uv")
def test_uvs_verdict_counts_and_its_own_trouble_does_not(tmp_path: Path) -> None:
    refused = CommandsClosed(1, ("Resolving", "error: no version", "  x == 1 is there"))
    with pytest.raises(LoadError, match=r"its requirements cannot be installed: no version x == 1 is there$"):
        installed(tmp_path, Commands(refused))
    for trouble in (CommandsClosed(2, ("error: network",)), CommandsClosed(1, ("only pre-releases",))):
        commands = Commands(trouble, DONE)
        assert installed(tmp_path, commands) == "pip"
        assert "--no-input" in commands.run_[1][0]


@pytest.mark.usefixtures("uv")
def test_both_are_quoted_where_both_fail(tmp_path: Path) -> None:
    commands = Commands(CommandsClosed(2, ("error: network",)), CommandsClosed(1, ("ERROR: no wheel",)))
    with pytest.raises(LoadError, match="no wheel; before it, uv said: network"):
        installed(tmp_path, commands)


@pytest.mark.usefixtures("uv")
@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (CommandsClosed(None, ()), "took longer than --env_timeout allows"),
        (CommandsClosed(None, (), stopped=True), "the server is closing"),
        (CommandsClosed(1, ()), "ended with status 1 and said nothing"),
        (OSError("no such file"), "/bin/uv does not start: no such file"),
    ],
)
def test_other_ends_are_told_in_words(tmp_path: Path, end: CommandsClosed | OSError, reason: str) -> None:
    with pytest.raises(LoadError, match=reason):
        installed(tmp_path, Commands(end))


def test_without_uv_pip_is_asked_and_without_both_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "_find_uv", lambda: None)
    commands = Commands(DONE)
    assert installed(tmp_path, commands) == "pip"
    assert commands.run_[0][0][1:5] == ["-m", "pip", "--python", "/env/bin/python"]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LoadError, match="there is no pip"):
        installed(tmp_path, Commands())


@pytest.mark.usefixtures("uv")
def test_a_reason_is_of_bounded_length(tmp_path: Path) -> None:
    with pytest.raises(LoadError) as failure:
        installed(tmp_path, Commands(CommandsClosed(1, ("error: " + "x" * 10_000,))))
    assert len(str(failure.value)) < 1700
