"""A command's end is bounded, its output is kept without credentials, and nothing of it is left."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

import pytest

from server.loading.environments.command import _LONGEST, _TAIL, Commands, CommandsClosed
from tests.patience import wait_for


def run(code: str, cwd: Path, commands: Commands | None = None, timeout: float = 60) -> CommandsClosed:
    command = [sys.executable, "-S", "-E", "-u", "-c", code]
    return (commands or Commands()).run(command, {"A": "b"}, cwd, timeout, "pip", keep=0)


def test_it_runs_there_with_these_variables_and_its_output_is_kept(tmp_path: Path) -> None:
    ended = run("import os; print(os.getcwd()); os.write(2, os.environ['A'].encode()); raise SystemExit(3)", tmp_path)
    assert ended == CommandsClosed(3, (str(tmp_path.resolve()), "b"))


def test_credentials_and_endless_lines_are_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "kserve"):
        ended = run(f"print('https://me:hush@host/x'); print('y' * {_LONGEST + 1}); print('')", tmp_path)
    assert ended.lines == ("https://****@host/x", "y" * _LONGEST)
    assert "hush" not in caplog.text


def test_of_much_output_the_last_is_kept(tmp_path: Path) -> None:
    ended = run(f"for n in range({_TAIL + 5}): print(n)", tmp_path)
    assert ended.lines[-1] == str(_TAIL + 4)
    assert len(ended.lines) == _TAIL


def test_bytes_that_are_no_text_do_not_stop_it(tmp_path: Path) -> None:
    assert run(r"import os; os.write(1, b'\xff\n')", tmp_path) == CommandsClosed(0, ("\ufffd",))


def test_one_that_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Commands().run([str(tmp_path / "none")], {}, tmp_path, 60, "pip", keep=0)


@pytest.mark.slow
def test_its_time_is_limited_and_what_it_started_ends_with_it(tmp_path: Path) -> None:
    code = "import os, time; pid = os.fork(); open(f'pid{pid}', 'w').close() if pid else None; time.sleep(600)"
    ended = run(code, tmp_path, timeout=1.0)
    assert (ended.code, ended.stopped) == (None, False)
    for path in tmp_path.glob("pid*"):
        wait_for(lambda: not running(int(path.name[3:])), "the end of what it started")  # noqa: B023


def running(pid: int) -> bool:
    """Not a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_closing_ends_what_runs_and_what_is_started_later(tmp_path: Path) -> None:
    commands, ended = Commands(), list[CommandsClosed]()
    code = "import time; open('begun', 'w').close(); time.sleep(600)"
    thread = threading.Thread(target=lambda: ended.append(run(code, tmp_path, commands)))
    thread.start()
    wait_for((tmp_path / "begun").exists)
    commands.close()
    thread.join(60)
    assert [(each.code, each.stopped) for each in ended] == [(None, True)]
    assert run(code, tmp_path, commands).stopped


def test_the_command_holds_the_lock(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        code = f"import os; os.fstat({lock.fileno()})"
        command = [sys.executable, "-S", "-c", code]
        assert Commands().run(command, os.environ, tmp_path, 60, "pip", keep=lock.fileno()).code == 0
