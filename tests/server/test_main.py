"""The command line's end of the server: what it refuses, and how the process ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import server.__main__ as main
from server.config.flags import SettingsError
from server.config.settings import Settings
from server.runtime.sandbox.kernel import Kernel


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", *argv], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize(("code", "status", "said"), [(None, 0, ""), (3, 3, ""), ("why", 1, "why\n")])
def test_a_process_ends_with_what_an_exit_means(code: str | int | None, status: int, said: str) -> None:
    """In a process of its own: the end closes what is logged to."""
    waiting = "threading.Thread(target=threading.Event().wait).start()"
    program = f"import server.__main__ as main, threading; {waiting}; main._end({code!r})"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (status, said)


def test_a_key_that_verifies_nothing_is_a_mistake_of_the_settings(tmp_path: Path) -> None:
    models = tmp_path / "models"
    main.check_signer(Settings(model_dir=models))
    (tmp_path / "key.pub").write_text("no key")
    with pytest.raises(SettingsError, match="--verify_key"):
        main.check_signer(Settings(model_dir=models, verify_key=str(tmp_path / "key.pub")))


def test_help_and_mistakes_are_told_without_waiting_for_kserve() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    assert "--model_dir" in shown.stdout
    wrong = run("--max_queue=many", "--nobody=1")
    assert wrong.returncode == 2
    assert "max_queue" in wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.slow
def test_a_directory_that_is_not_there_ends_it_with_a_line(tmp_path: Path) -> None:
    ended = run(f"--model_dir={tmp_path / 'nowhere'}")
    assert ended.returncode == 2
    assert "nowhere" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_sandbox_is_refused_where_there_is_nothing_to_make_one_of() -> None:
    nothing = Kernel(lambda: 0, lambda: False, "x86_64")
    with pytest.raises(SettingsError, match="--sandbox: this kernel lets nothing be confined"):
        main.check_sandbox(Settings(sandbox=True), nothing)
    main.check_sandbox(Settings(), nothing)
    main.check_sandbox(Settings(sandbox=True), Kernel(lambda: 0, lambda: True, "x86_64"))
