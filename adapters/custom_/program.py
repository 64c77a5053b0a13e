"""Run a user's `model.py` as it was meant to be run, up to the point where it would start a server.

A file that starts a `kserve.ModelServer` under `if __name__ == "__main__":` is run as a script, with the arguments
that KServe would give it; the models that it starts are caught instead of served. Any other file is imported.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from adapters.base import LoadError
from adapters.custom_ import mount
from adapters.custom_.application import Application
from adapters.shared.lean_kserve import lean

MODULE = "model"  #: what the user's file is called as a module


class Started(SystemExit):
    """Ends the script where its server would have run: as `SystemExit`, which user code lets pass."""


@dataclass
class Program:
    """A `model.py` that has run."""

    module: ModuleType
    server: Any = None  #: the `ModelServer` that the file started, if it did
    models: list[Any] = field(default_factory=list)  #: the models that it started there
    application: Application | None = None  #: KServe's, to which it may have added


def settle_in(folder: Path, name: str, arguments: Sequence[str]) -> None:
    """Make this process the model's own: working directory, import path, command line, environment."""
    os.chdir(folder)
    sys.dont_write_bytecode = True  # the folder is the user's, and may be read-only
    sys.path.insert(0, str(folder))
    sys.argv = [str(folder / f"{MODULE}.py"), *arguments]
    os.environ.update(MODEL_DIR=str(folder), MODEL_NAME=name)
    mount.install(folder)


def run(path: Path, as_script: bool) -> Program:
    """Run the file and catch what it starts.

    Raises:
        LoadError: it raised, or ended itself.
    """
    text = path.read_bytes()
    module = _module(path, as_script)
    program = Program(module)
    _catch_starts(program)
    program.application = Application()
    try:
        exec(mount.compiled(text, str(path), path.parent), vars(module))
    except Started:
        pass
    except BaseException as error:
        raise failure(error, path.parent) from error
    return program


def failure(error: BaseException, folder: Path) -> LoadError:
    """What the operator reads when the user's code raised; the whole traceback goes to the log."""
    traceback.print_exception(error.with_traceback(_own_part(error, folder)))
    where = _place(error, folder)
    if isinstance(error, SystemExit):
        return LoadError(f"{where}: the code ended the process: sys.exit({'' if error.code is None else error.code})")
    hint = "; list what it needs in requirements.txt" if isinstance(error, ModuleNotFoundError) else ""
    return LoadError(f"{where}: {type(error).__name__}: {error}{hint}" if str(error) else f"{where}: {error!r}{hint}")


def _own_part(error: BaseException, folder: Path) -> TracebackType | None:
    """The traceback from where the user's code begins."""
    part = error.__traceback__
    while part is not None and not Path(part.tb_frame.f_code.co_filename).is_relative_to(folder):
        part = part.tb_next
    return part or error.__traceback__


def _place(error: BaseException, folder: Path) -> str:
    """The innermost line of the user's own code that led there."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    return f"{Path(own[-1].filename).relative_to(folder)}, line {own[-1].lineno}" if own else f"{MODULE}.py"


def _module(path: Path, as_script: bool) -> ModuleType:
    """The file's module, under both names that others may know its classes by: pickles made by a script say `__main__`,
    other modules of the folder say `model`."""
    spec = importlib.util.spec_from_file_location(MODULE, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    if as_script:
        module.__name__, module.__spec__ = "__main__", None
    sys.modules[MODULE] = sys.modules["__main__"] = module
    return module


def _catch_starts(program: Program) -> None:
    with lean():  # and it is whole again before the user's code asks for any of it
        from kserve import ModelServer

    def start(server: Any, models: Any, *_: Any, **__: Any) -> None:
        program.server = server
        program.models = list(models.values() if isinstance(models, dict) else models)
        raise Started

    ModelServer.start = start
