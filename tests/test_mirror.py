"""The tests mirror the code: every module has a test module of its name, so that it is reached directly.

`server/inference/batching/queue.py` is tested by `tests/server/inference/batching/test_queue.py`, or by several
`test_queue_<aspect>.py`.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]

#: TorchServe's names for handlers that were written for it: tests/adapters/torchserve_/test_handlers.py runs those.
NOT_MIRRORED = ROOT / "adapters" / "torchserve_" / "compat"

#: Modules by folder that only the tests of others reach. This list may only become shorter.
WITHOUT = {
    "adapters": "base datatypes modeldir registry",
    "adapters/custom_": "program source",
    "adapters/formats/pickles": "contents loading machine policy records scan stream values",
    "adapters/huggingface_": "bundle embedding encoder loading sentence tasks",
    "adapters/lightgbm_": "format",
    "adapters/mlflow_": "mlmodel schema values",
    "adapters/onnx_": "trial types",
    "adapters/sentence_transformers_": "folder kinds",
    "adapters/sklearn_": "damage examine files inputs origins outputs settle",
    "adapters/sklearn_/direct": "boosting build composite kinds linear merged models plan proof record scaling trees",
    "adapters/skops_": "audit",
    "adapters/spacy_": "config docs loading",
    "adapters/tensorflow_": "graph saved_model session trial types",
    "adapters/torch_": "declared files guess operators records trial values",
    "adapters/torchserve_": "adapter handler manifest messages temporary",
    "adapters/xgboost_": "format",
    "server": "__main__ app",
    "server/api": "lookup",
    "server/frontends": "frontend_main frontend_server",
    "server/inference": "model request",
}


def modules() -> list[str]:
    """Every module of the server and the adapters, as a path; packages hold nothing but their docstring."""
    paths = [path for package in ("server", "adapters") for path in sorted((ROOT / package).rglob("*.py"))]
    ours = [path for path in paths if path.name != "__init__.py" and NOT_MIRRORED not in path.parents]
    return [str(path.relative_to(ROOT)) for path in ours]


def without() -> set[str]:
    return {f"{folder}/{name}.py" for folder, names in WITHOUT.items() for name in names.split()}


def has_tests(module: str, tests: Path = ROOT / "tests") -> bool:
    """Whether there is a test module of its name, or of its name and an aspect."""
    path = tests / module
    name = path.stem.strip("_") if path.stem.startswith("__") else path.stem
    aspects = path.parent.glob(f"test_{name.rstrip('_')}_?*.py")
    return (path.parent / f"test_{name}.py").exists() or any(aspects)


def test_every_module_has_tests_of_its_name() -> None:
    lacking = {module for module in modules() if not has_tests(module)}
    assert sorted(lacking - without()) == []


def test_the_list_of_those_without_only_becomes_shorter() -> None:
    lacking = {module for module in modules() if not has_tests(module)}
    assert sorted(without() - lacking) == []


def test_which_names_count(tmp_path: Path) -> None:
    folder = tmp_path / "server" / "codec"
    folder.mkdir(parents=True)
    for name in ("test_v2.py", "test_json_arrays_of_bytes.py", "test_keras_.py", "test_main.py"):
        (folder / name).touch()
    named = ["v2", "v1", "json_arrays", "json", "keras_", "__main__", "arrays"]
    found = [name for name in named if has_tests(f"server/codec/{name}.py", tmp_path)]
    assert found == ["v2", "json_arrays", "json", "keras_", "__main__"]
