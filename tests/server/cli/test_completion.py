"""Shells complete commands, options of the server and its choices: asked as their scripts ask."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from server.cli.completion import SHELLS
from tests.server.cli.conftest import ROOT, command


def completed(words: str, shell: str = "fish") -> list[str]:
    """What the program offers behind these words; the last one is being typed."""
    asked = {"_POLYSERVE_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": words.split(" ")[-1]}
    ended = command(**asked)
    assert (ended.status, ended.err) == (0, "")
    return [line.split(",", 1)[1].split("\t")[0] for line in ended.out.splitlines()]


def test_commands() -> None:
    assert completed("polyserve in") == ["inspect"]
    assert {"serve", "inspect", "doctor"} <= set(completed("polyserve "))


def test_the_servers_flags_with_or_without_the_word() -> None:
    assert "--model_dir" in completed("polyserve --mod")
    assert "--model_dir" in completed("polyserve serve --mod")
    assert completed("polyserve serve --trust ") == ["safe", "pickle", "code"]


def test_options_of_commands() -> None:
    assert completed("polyserve check --ju") == ["--junit"]
    assert completed("polyserve manifest --kind d") == ["deployment"]
    assert completed("polyserve examples new --only sklearn-iris,xg") == ["sklearn-iris,xgboost-diabetes"]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_of_the_shell(shell: str) -> None:
    ended = command("completion", shell)
    assert ended.status == 0
    assert f"{shell}_complete" in ended.out
    if program := shutil.which(shell):
        checked = subprocess.run([program, "-n"], input=ended.out, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's: `polyserve` on the path, the script in each shell's own file, and a folder of models."""
    home = tmp_path_factory.mktemp("home")
    (home / "models dir").mkdir()
    shim = home / "polyserve"
    shim.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m server "$@"\n')
    shim.chmod(0o755)
    (home / ".bashrc").write_text('PS1="READY> "; eval "$(polyserve completion bash)"\n')
    (home / ".zshrc").write_text(
        'PS1="READY> "; autoload -Uz compinit; compinit -u -D; eval "$(polyserve completion zsh)"\n'
    )
    return home


def environ_of(home: Path) -> dict[str, str]:
    path = f"{home}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "HOME": str(home), "ZDOTDIR": str(home), "TERM": "dumb", "LC_ALL": "C.UTF-8"}


@pytest.mark.skipif(not shutil.which("fish"), reason="there is no fish")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("polyserve doc", ["doctor\tWhat is installed here, what is missing, which limits hold."]),
        ("polyserve serve --trust p", ["pickle"]),
        ("polyserve serve mod", ["models dir/\tDirectory"]),
        ("polyserve inspect mod", ["models dir/\tDirectory"]),
    ],
)
def test_fish_shows_what_is_said_of_a_word_whole(home: Path, typed: str, offered: list[str]) -> None:
    program = f'polyserve completion fish | source\ncomplete -C "{typed}"\n'
    ended = subprocess.run(
        ["fish", "-c", program],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=environ_of(home),
        cwd=home,
    )
    assert ended.stdout.splitlines() == offered


def test_the_script_for_fish_splits_at_the_first_comma_alone() -> None:
    assert 'string split -m 1 ","' in command("completion", "fish").out


INTERACTIVE = {"bash": ("--noprofile", "-i"), "zsh": ("-i",)}


class Terminal:
    """A shell at a terminal, as somebody types into it."""

    def __init__(self, shell: str, home: Path) -> None:
        ours, its = os.openpty()
        self._screen = ours
        self.shown = ""
        self._shell = subprocess.Popen(
            [shell, *INTERACTIVE[shell]],
            stdin=its,
            stdout=its,
            stderr=its,
            env=environ_of(home),
            cwd=home,
            start_new_session=True,
        )
        os.close(its)

    def type(self, keys: str) -> None:
        self.shown = ""
        os.write(self._screen, keys.encode())

    def wait(self, text: str, seconds: float = 240) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0, f"no {text!r} in {self.shown!r}"
            if select.select([self._screen], [], [], left)[0]:
                self.shown += os.read(self._screen, 4096).decode(errors="replace")

    def close(self) -> None:
        self._shell.kill()
        self._shell.wait()
        os.close(self._screen)


@pytest.mark.parametrize("shell", INTERACTIVE)
def test_the_tab_key_completes_in_a_shell_itself(shell: str, home: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell}")
    terminal = Terminal(shell, home)
    try:
        terminal.wait("READY> ")
        for typed, completed in (
            ("polyserve insp\t", "polyserve inspect "),
            ("--no\t", "--no-load "),
            ("mod\t", "models\\ dir/"),
        ):
            terminal.type(typed)
            terminal.wait(completed.removeprefix(typed.rstrip("\t")))
    finally:
        terminal.close()
