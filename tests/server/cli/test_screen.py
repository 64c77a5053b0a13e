"""What is printed: tables as wide as they must be, colours on terminals alone, progress that leaves nothing behind."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from server.cli import screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals() -> None:
    assert screen.has_colours(Terminal(), {})
    assert not screen.has_colours(io.StringIO(), {})
    assert not screen.has_colours(Terminal(), {"NO_COLOR": "1"})
    assert screen.has_colours(Terminal(), {"NO_COLOR": ""})
    assert not screen.has_colours(Terminal(), {"TERM": "dumb"})


def test_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = screen.table(("NAME", "EMPTY", "SIZE"), [("a\x1b[31m", "", "5"), ("日本", "", "1000")], numbers=[2])
    assert lines == ["NAME    SIZE", "a [31m     5", "日本    1000"]
    monkeypatch.setattr(screen, "width_of_terminal", lambda: 8)
    assert screen.table(("NAME", "EMPTY", "SIZE"), [("abc", "", "a long text")])[1] == "abc   a…"


def test_texts_of_strangers_are_one_plain_line() -> None:
    assert screen.plain("a\n\x1b]0;title\x07 b\u202e") == "a ]0;title b"


def test_a_text_is_cut_by_its_columns() -> None:
    assert screen.cut("日本語", 6) == "日本語"
    assert screen.cut("日本語", 5) == "日本…"


PROGRAM = """
import sys, threading
from server.cli import screen
screen._PATIENCE = 0
with screen.progress("waiting for Godot") as shown:
    while not shown._shown: pass
    shown.what = "still"
    with shown.hidden():
        print("a line", flush=True)
print("done", screen.paint("red", "red"), flush=True)
"""


def on_a_terminal(**environ: str) -> str:
    """What the program writes to a terminal."""
    main, other = pty.openpty()
    env = {**os.environ, "TERM": "xterm", **environ}
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=other, stderr=other, env=env):
        os.close(other)
        found = b""
        try:
            while part := os.read(main, 65536):
                found += part
        except OSError:  # the terminal's other side is closed
            pass
    os.close(main)
    return found.decode()


def test_progress_and_colours_on_a_terminal() -> None:
    found = on_a_terminal()
    assert "waiting for Godot (" in found
    assert "\r\x1b[Ka line\r\n" in found, "the progress makes room for lines"
    assert found.endswith("\x1b[31mred\x1b[0m\r\n")
    assert "\x1b[31m" not in on_a_terminal(NO_COLOR="1")


def test_nothing_of_that_without_a_terminal() -> None:
    program = PROGRAM.replace("while not shown._shown: pass", "pass")
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == ("a line\ndone red\n", "")


def test_others_output_goes_to_standard_error(tmp_path: Path) -> None:
    program = (
        "import os\nfrom server.cli.screen import output_of_ours_alone\n"
        "with output_of_ours_alone():\n    os.write(1, b'native\\n'); print('ours')\nprint('after')\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == ("ours\nafter\n", "native\n")


def test_it_stays_where_standard_output_is_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    with screen.output_of_ours_alone():
        screen.say("here")
    assert capsys.readouterr().out == "here\n"
