"""What is imported ahead, and when trials are forks: never where they could see, or do, what a fresh process cannot."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from server.loading import imports_ahead
from server.loading.imports_ahead import why_not
from server.runtime.cpu import ONE_THREAD
from server.runtime.sandbox.sandbox import NO_SANDBOX, Sandbox

ROOT = Path(__file__).resolve().parents[3]

#: a process as the server's is before it imports KServe: what it tells goes to standard output as JSON
_BEGIN = """
import json, os, sys, threading
from pathlib import Path
from server.config.settings import Settings
from server.loading.assembly import Assembly
assembly = Assembly.of(Settings(model_dir=Path(sys.argv[1])))
fresh = ".".join(("loading", "trial", "trial_main"))  # in the command line of a fresh trial process
forks = lambda: assembly.trials._forks is not None

def command(child):  # whose command line is empty for a moment after it was started
    while not (text := Path(f"/proc/{child._child.pid}/cmdline").read_text()):
        pass
    return text
"""


def run(folder: Path, code: str, cache: Path | None = None, **variables: str) -> Any:
    """In a process without a record of any import, unless `cache` has one."""
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run(
            [sys.executable, "-c", _BEGIN + code, str(folder)],
            cwd=ROOT,
            env={"PATH": "/bin:/usr/bin", "CACHE_DIRECTORY": str(cache or empty), **ONE_THREAD, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one scikit-learn model."""
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    folder = tmp_path_factory.mktemp("models")
    (folder / "iris").mkdir()
    joblib.dump(LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True)), folder / "iris" / "model.joblib")
    return folder


_TRIED = """
assembly.import_ahead()()
before = {name for name in ("sklearn", "kserve", "torch", "xgboost", "kubernetes") if name in sys.modules}
pool = assembly.trials
child = pool._start()
pool._children.append(child)
trial = pool.try_load("sklearn", Path(sys.argv[1]) / "iris", Path(sys.argv[1]), "model.joblib", {})
environ = Path(f"/proc/{child._child.pid}/environ").read_bytes().decode()
told = [sorted(before), forks(), fresh in command(child), trial.batchable, bool(trial.evidence), trial.seconds < 60]
assembly.close()
print(json.dumps([*told, forks()]))
"""


@pytest.mark.slow
def test_a_trial_is_a_fork_with_the_framework_that_its_model_needs(models: Path, tmp_path: Path) -> None:
    """The first start has the fork server import it first; later ones know that it does no harm."""
    assert run(models, _TRIED, tmp_path) == [["sklearn"], True, False, True, True, True, False]
    assert run(models, _TRIED, tmp_path) == [["sklearn"], True, False, True, True, True, False]


def test_this_process_waits_for_no_import_that_another_one_does_first(models: Path, tmp_path: Path) -> None:
    """It does something else meanwhile, once its secrets cannot get there any more, and imports the last when asked."""
    code = """
import psutil
done = []
left = assembly.import_ahead(meanwhile=lambda: done.append(len(psutil.Process().children())))
told = [done, forks(), "sklearn" in sys.modules]
left()
print(json.dumps([*told, "sklearn" in sys.modules]))
assembly.close()
"""
    assert run(models, code, tmp_path) == [[1], True, False, True]
    assert run(models, code, tmp_path) == [[], True, True, True]


#: a framework whose import ends the process, found before the real one
_ENDS = {
    "segfault": "import ctypes; ctypes.string_at(0)",
    "abort": "import os; os.abort()",
    "exit": "import os; os._exit(0)",
    "status": "raise SystemExit(3)",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", _ENDS)
def test_an_import_that_ends_its_process_ends_no_server(models: Path, tmp_path: Path, how: str) -> None:
    library = tmp_path / "library" / "sklearn"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text(_ENDS[how])
    told = run(
        models,
        """
assembly.import_ahead()
from adapters.base import LoadError
try:
    assembly.trials.try_load("sklearn", Path(sys.argv[1]) / "iris", Path(sys.argv[1]), "model.joblib", {})
except LoadError as error:
    print(json.dumps(str(error)))
assembly.close()""",
        PYTHONPATH=str(library.parent),
    )
    assert ("trial process" in told) == (how != "status"), told


@pytest.mark.slow
def test_what_ended_its_process_is_not_taken_for_harmless(models: Path, tmp_path: Path) -> None:
    """A library that changed in a way which nobody could see: the record is away while it is relied upon."""
    library = tmp_path / "library" / "sklearn"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("import os; not os.path.exists(os.environ['BREAKS']) or os._exit(7)")
    code = "assembly.import_ahead(); print(json.dumps([forks(), 'sklearn' in sys.modules])); assembly.close()"
    tried = "assembly.import_ahead(); assembly.trials.warm(); assembly.close(); print('[]')"
    variables = {"PYTHONPATH": str(library.parent), "BREAKS": str(tmp_path / "breaks")}
    run(models, tried, tmp_path, **variables)
    assert run(models, code, tmp_path, **variables) == [True, True]
    (tmp_path / "breaks").touch()
    with pytest.raises(AssertionError):
        run(models, code, tmp_path, **variables)
    assert run(models, code, tmp_path, **variables) == [False, False]


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables", [{"SOME_TOKEN": "hush"}, {"INDEX": "https://me:hush@host"}], ids=["name", "value"]
)
def test_with_secrets_in_memory_trials_are_fresh_processes(models: Path, variables: dict[str, str]) -> None:
    assert run(models, _TRIED, **variables) == [[], False, True, True, True, True, False]


@pytest.mark.slow
def test_a_second_thread_makes_them_fresh_processes(models: Path) -> None:
    begun = "stop = threading.Event(); threading.Thread(target=stop.wait, daemon=True).start()"
    assert run(models, begun + _TRIED)[:3] == [[], False, True]


@pytest.mark.slow
def test_after_the_start_they_are_fresh_processes_again(models: Path) -> None:
    told = run(
        models,
        """
assembly.import_ahead()
assembly.end_trials()
pool = assembly.trials
pool.warm()
commands = [command(each) for each in pool._children]
assembly.close()
print(json.dumps([forks(), all(fresh in command for command in commands), bool(commands)]))""",
    )
    assert told == [False, True, True]


def test_a_model_for_workers_imports_nothing_here(models: Path, tmp_path: Path) -> None:
    (tmp_path / "iris").mkdir()
    (tmp_path / "iris" / "model.joblib").write_bytes((models / "iris" / "model.joblib").read_bytes())
    (tmp_path / "iris" / "polyserve.yaml").write_text("isolation: process\n")
    told = run(tmp_path, 'assembly.import_ahead(); print(json.dumps([forks(), "sklearn" in sys.modules]))')
    assert told == [False, False]


@pytest.mark.slow
def test_an_import_that_fails_is_left_to_the_trial(models: Path) -> None:
    told = run(
        models,
        """
from server.loading import imports_ahead
imports_ahead.AHEAD["sklearn"] = ("sklearn.nothing_of_that_name",)
assembly.import_ahead()
assembly.trials.warm()
commands = [command(each) for each in assembly.trials._children]
print(json.dumps([forks(), any(fresh in command for command in commands)]))
assembly.close()""",
    )
    assert told == [True, False]


def test_why_trials_are_no_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ONE_THREAD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(imports_ahead, "threads", lambda: 1)
    assert why_not(NO_SANDBOX, {"HOME": "/"}) == ""
    assert "confined" in why_not(Sandbox(confines=True), {})
    assert "secrets" in why_not(NO_SANDBOX, {"AWS_SECRET_ACCESS_KEY": "hush"})
    monkeypatch.setattr(imports_ahead, "threads", lambda: 2)
    assert "other threads" in why_not(NO_SANDBOX, {})
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert "numbers of threads" in why_not(NO_SANDBOX, {})


@pytest.mark.slow
def test_what_is_imported_ahead_starts_no_thread() -> None:
    """Every framework by itself: one that did would cost all others their forks."""
    for name, modules in imports_ahead.AHEAD.items():
        if not _installed(name):
            continue
        code = "".join(f"import {module}\n" for module in (name, *modules))
        told = run(Path(), f"{code}from server.runtime.forking import threads; print(json.dumps(threads()))")
        assert told == 1, name


def _installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def test_nothing_native_is_there_before_the_command_line_was_read() -> None:
    """numpy's threads, which it starts as it is imported, would leave no start a fork: `main` says how many first."""
    code = "import sys, server.__main__; print(sorted({'numpy', 'kserve', 'sklearn'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
