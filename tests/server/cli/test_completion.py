"""Shells complete commands, options of the server and its choices: asked as their scripts ask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_one_of_the_shell(shell: str) -> None:
    ended = command("completion", shell)
    assert ended.status == 0
    assert f"{shell}_complete" in ended.out
    if program := shutil.which(shell):
        checked = subprocess.run([program, "-n"], input=ended.out, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(not shutil.which("fish"), reason="there is no fish")
def test_fish_shows_what_is_said_of_a_word_whole(tmp_path: Path) -> None:
    shim = tmp_path / "polyserve"
    shim.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m server "$@"\n')
    shim.chmod(0o755)
    program = 'polyserve completion fish | source\ncomplete -C "polyserve doc"\n'
    environ = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    ended = subprocess.run(
        ["fish", "-c", program], capture_output=True, text=True, timeout=240, check=False, env=environ
    )
    assert ended.stdout.splitlines() == ["doctor\tWhat is installed here, what is missing, which limits hold."]


def test_the_script_for_fish_splits_at_the_first_comma_alone() -> None:
    assert 'string split -m 1 ","' in command("completion", "fish").out


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_bash_itself_completes_by_it() -> None:
    program = (
        f'polyserve() {{ {sys.executable} -m server "$@"; }}; export -f polyserve\n'
        'eval "$(polyserve completion bash)"\n'
        "COMP_WORDS=(polyserve ins); COMP_CWORD=1\n"
        "_polyserve_completion polyserve; echo ${COMPREPLY[@]}\n"
    )
    ended = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert "inspect" in ended.stdout.split() or "env" in ended.stderr, ended.stderr
