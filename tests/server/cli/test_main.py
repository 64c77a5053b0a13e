"""The commands' help, how they end, and what they import for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from server.cli.commands import COMMANDS
from server.cli.main import run
from tests.server.cli.conftest import command

#: what takes long to import, or is there only where a framework is
HEAVY = ("numpy", "kserve", "fastapi", "uvicorn", "grpc", "yaml", "httpx", "pandas", "torch", "sklearn", "asyncio")
SCREEN = (80, 24)


def lines_of_help(*argv: str) -> list[str]:
    ended = command(*argv, "--help")
    assert (ended.status, ended.err) == (0, "")
    return ended.out.splitlines()


@pytest.mark.parametrize("name", ["", *(name for name in COMMANDS if name != "serve")])
def test_help_fits_a_screen(name: str) -> None:
    lines = lines_of_help(*filter(None, [name]))
    assert max(map(len, lines)) <= SCREEN[0]
    assert len(lines) < SCREEN[1], "a line is the prompt's"


def test_help_names_every_command_and_the_way_to_serve() -> None:
    text = "\n".join(lines_of_help())
    assert all(f"  {name} " in text for name in COMMANDS)
    assert "--model_dir" in text


def test_the_servers_help_has_every_flag() -> None:
    assert "  --trust=safe|pickle|code" in lines_of_help("serve")


@pytest.mark.parametrize("name", ["", "inspect", "check", "curl", "bench", "manifest", "examples", "doctor"])
def test_help_imports_nothing_heavy(name: str) -> None:
    argv = [*filter(None, [name]), "--help"]
    program = (
        f"import sys; sys.argv[1:] = {argv!r}\n"
        "import server.__main__ as main\n"
        "try:\n    main.main()\n"
        f"finally:\n    print([each for each in {HEAVY!r} if each in sys.modules], file=sys.stderr)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    allowed = ["asyncio"] if name == "bench" else []  # its clients; nothing of it is outside the standard library
    assert ended.stderr.strip() == str(allowed)


def test_mistakes_end_with_2_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for argv, said in [
        (["inspct", "x"], "did you mean inspect?"),
        (["help"], "write polyserve --help"),
        (["xyzzy"], "there are serve, inspect"),
        (["inspect"], "missing argument"),
        (["inspect", ".", "--jsn"], "did you mean '--json'?"),
        (["completion", "tcsh"], "'bash', 'zsh', 'fish'"),
        (["inspect", "no\x1bwhere"], "there is no folder no where"),
    ]:
        assert run(argv) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1), argv
        assert err.startswith("polyserve: ")
        assert said in err.lower() or said in err


def test_who_stops_reading_is_no_failure() -> None:
    program = f"{sys.executable} -m server completion zsh | true"
    ended = subprocess.run(["bash", "-c", f"set -o pipefail; {program}"], capture_output=True, text=True, check=False)
    assert "Traceback" not in ended.stderr
