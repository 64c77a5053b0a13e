"""The tests mirror the code: every module has a test module of its name, so that it is reached directly.

`server/inference/batching/queue.py` is tested by `tests/server/inference/batching/test_queue.py`, or by several
`test_queue_<aspect>.py`.
"""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: TorchServe's names for handlers that were written for it: tests/adapters/torchserve_/test_handlers.py runs those.
NOT_MIRRORED = ROOT / "adapters" / "torchserve_" / "compat"


def modules() -> list[str]:
    """Every module of the server and the adapters, as a path; packages hold nothing but their docstring."""
    paths = [path for package in ("server", "adapters") for path in sorted((ROOT / package).rglob("*.py"))]
    ours = [path for path in paths if path.name != "__init__.py" and NOT_MIRRORED not in path.parents]
    return [str(path.relative_to(ROOT)) for path in ours if does_something(path.read_text())]


def does_something(source: str) -> bool:
    """Whether a function of the module has more than a docstring: a protocol alone has nothing to be tested."""
    functions = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    statements = [statement for function in functions for statement in function.body]
    return any(not isinstance(each, ast.Expr) or not isinstance(each.value, ast.Constant) for each in statements)


def has_tests(module: str, tests: Path = ROOT / "tests") -> bool:
    """Whether there is a test module of its name, or of its name and an aspect."""
    path = tests / module
    name = path.stem.strip("_") if path.stem.startswith("__") else path.stem
    aspects = path.parent.glob(f"test_{name.rstrip('_')}_?*.py")
    return (path.parent / f"test_{name}.py").exists() or any(aspects)


def test_every_module_has_tests_of_its_name() -> None:
    assert [module for module in modules() if not has_tests(module)] == []


def test_nothing_is_left_at_the_top() -> None:
    """Tests and programs that write beside the source are told by what they leave, before it is committed."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    folders = {line.split("/")[0] for line in tracked.splitlines() if "/" in line}
    ours = {"adapters", "bench", "deploy", "docs", "examples", "polyserve_runtime", "server", "tests"}
    assert folders == ours | {".ci", ".github"}


def test_which_names_count(tmp_path: Path) -> None:
    folder = tmp_path / "server" / "codec"
    folder.mkdir(parents=True)
    for name in ("test_v2.py", "test_json_arrays_of_bytes.py", "test_keras_.py", "test_main.py"):
        (folder / name).touch()
    named = ["v2", "v1", "json_arrays", "json", "keras_", "__main__", "arrays"]
    found = [name for name in named if has_tests(f"server/codec/{name}.py", tmp_path)]
    assert found == ["v2", "json_arrays", "json", "keras_", "__main__"]


def test_a_module_that_only_declares_needs_none() -> None:
    assert not does_something('class A(Protocol):\n    x: int\n    def f(self) -> int:\n        """Some."""\n')
    assert not does_something("class A(Protocol):\n    def f(self) -> int: ...\n")
    assert does_something('def f() -> int:\n    """Some."""\n    return 1\n')
    assert does_something("class A:\n    def f(self) -> None:\n        raise NotImplementedError\n")
