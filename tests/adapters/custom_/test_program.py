"""A `model.py` that is run: as a script up to its server's start, or imported, and what is said where it fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import kserve
import pytest

from adapters.base import LoadError
from adapters.custom_.program import Program, failure, run, settle_in


@pytest.fixture(autouse=True)
def own_process() -> Iterator[None]:
    """Everything that a program takes over is given back."""
    modules = {name: sys.modules.get(name) for name in ("model", "__main__", "helper")}
    held = Path.cwd(), list(sys.path), list(sys.argv), dict(os.environ), sys.dont_write_bytecode
    hooks, start = list(sys.path_hooks), kserve.ModelServer.start
    yield
    os.chdir(held[0])
    sys.path[:], sys.argv[:] = held[1], held[2]
    os.environ.clear()
    os.environ.update(held[3])
    sys.dont_write_bytecode = held[4]
    sys.path_hooks[:] = hooks
    sys.path_importer_cache.clear()
    kserve.ModelServer.start = start
    for name, module in modules.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


def ran(folder: Path, code: str, as_script: bool = False) -> Program:
    (folder / "model.py").write_text(code)
    return run(folder / "model.py", as_script)


def reason(folder: Path, code: str, as_script: bool = False) -> str:
    with pytest.raises(LoadError) as caught:
        ran(folder, code, as_script)
    return str(caught.value)


MAIN = """
import kserve

class Mine(kserve.Model):
    pass

reached = []
if __name__ == "__main__":
    reached.append("before")
    server = kserve.ModelServer(http_port=1)
    server.start({models})
    reached.append("after")
"""


def test_a_script_runs_up_to_its_servers_start(tmp_path: Path) -> None:
    program = ran(tmp_path, MAIN.replace("{models}", '[Mine("a"), Mine("b")]'), as_script=True)
    assert program.module.__name__ == "__main__"
    assert program.module.reached == ["before"]
    assert program.server is program.module.server
    assert [model.name for model in program.models] == ["a", "b"]
    assert program.application is not None
    assert sys.modules["model"] is sys.modules["__main__"] is program.module


def test_models_may_be_given_by_name(tmp_path: Path) -> None:
    program = ran(tmp_path, MAIN.replace("{models}", '{"x": Mine("a")}'), as_script=True)
    assert [model.name for model in program.models] == ["a"]


def test_any_other_file_is_imported(tmp_path: Path) -> None:
    program = ran(tmp_path, MAIN.replace("{models}", "[]"))
    assert program.module.__name__ == "model"
    assert program.module.__file__ == str(tmp_path / "model.py")
    assert (program.module.reached, program.server, program.models) == ([], None, [])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\nraise ValueError('no weights')", "model.py, line 2: ValueError: no weights"),
        ("raise ValueError", "model.py, line 1: ValueError()"),
        ("x = (", "model.py, line 1: SyntaxError: '(' was never closed (model.py, line 1)"),
        ("import sys\nsys.exit(3)", "model.py, line 2: the code ended the process: sys.exit(3)"),
        ("import sys\n\nsys.exit()", "model.py, line 3: the code ended the process: sys.exit()"),
        ("raise KeyboardInterrupt", "model.py, line 1: KeyboardInterrupt()"),
    ],
    ids=["raised", "bare", "syntax", "exit", "exit-bare", "interrupt"],
)
def test_a_file_that_fails_names_its_line(code: str, said: str, tmp_path: Path) -> None:
    assert reason(tmp_path, code) == said


def test_a_module_that_is_missing_says_the_way_out(tmp_path: Path) -> None:
    said = reason(tmp_path, "import no_such_module_anywhere")
    assert said.startswith("model.py, line 1: ModuleNotFoundError: No module named 'no_such_module_anywhere'")
    assert said.endswith("; list what it needs in requirements.txt")


def test_the_innermost_line_of_the_users_own_code_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settle_in(tmp_path, "m", [])
    (tmp_path / "helper.py").write_text("import json\n\ndef read():\n    return json.loads('{')\n")
    said = reason(tmp_path, "import helper\nhelper.read()\n")
    assert said.startswith("helper.py, line 4: JSONDecodeError: ")
    log = capsys.readouterr().err
    assert "in read" in log
    assert "program.py" not in log


def test_an_error_from_elsewhere_is_the_files(tmp_path: Path) -> None:
    assert str(failure(ValueError("odd"), tmp_path)) == "model.py: ValueError: odd"


def test_a_server_that_starts_outside_of_main_is_caught_too(tmp_path: Path) -> None:
    program = ran(tmp_path, "import kserve\nkserve.ModelServer(http_port=1).start([])\nraise ValueError")
    assert program.server is not None
    assert program.models == []


def test_the_process_becomes_the_models_own(tmp_path: Path) -> None:
    settle_in(tmp_path, "served", ["--model_name", "served"])
    assert Path.cwd() == tmp_path.resolve()
    assert sys.path[0] == str(tmp_path)
    assert sys.argv == [str(tmp_path / "model.py"), "--model_name", "served"]
    assert (os.environ["MODEL_DIR"], os.environ["MODEL_NAME"]) == (str(tmp_path), "served")
    (tmp_path / "helper.py").write_text("value = 5\n")
    assert ran(tmp_path, "from helper import value").module.value == 5
    assert not (tmp_path / "__pycache__").exists()
