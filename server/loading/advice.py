"""What a newcomer may do about a folder that cannot be served, where the reason itself does not say it."""

from __future__ import annotations

from adapters import registry
from adapters.base import ModelDir
from server.loading.files import is_crowded

_DEPTH = 5  #: folders below that are looked into
_MOST = 50  #: a mount may hold thousands of folders that are none of ours, and each is looked at when the server starts
_FORMATS = "adapters/README.md lists what is recognised, and how to save each kind of model"
_DATA = (".csv", ".parquet", ".json", ".xlsx", ".tsv", ".txt", ".md", ".yaml", ".yml")


def with_advice(problem: str, directory: ModelDir) -> str:
    """The reason, and what to do about it, of the files as they are now."""
    try:
        advice = advice_on(problem, ModelDir.of(directory.path, directory.root))
    except OSError:  # the folder has gone since
        advice = ""
    return "; ".join(filter(None, (problem, advice)))


def advice_on(problem: str, directory: ModelDir) -> str:
    """A sentence, or "": the reason says what to do, or nobody knows."""
    if problem == "the directory is empty":
        return "copy the model's files into it, or remove it"
    if problem.startswith("no known model format"):
        return _about_files(directory)
    if problem.endswith("defines no subclass of kserve.Model"):
        return "write `class MyModel(kserve.Model)` with `def predict(self, payload, headers=None)` into it"
    if "is no pickle, or a damaged one" in problem:
        return "save the model again, by joblib.dump(model, FILE), and copy the whole file"
    if "cut short" in problem or "cut off" in problem:
        return "the copy is not whole: copy the file again"
    return ""


def _about_files(directory: ModelDir) -> str:
    if deeper := _deeper(directory, "", _DEPTH, [_MOST]):
        return f"a model lies deeper, in {deeper}: move that folder up"
    if any(name.endswith(".ipynb") for name in directory.files):
        return "a notebook is no model: save the trained model by it, and copy that file here"
    if any(name.endswith((".py", ".R", ".r")) for name in directory.files):
        return "code of your own is served as model.py, with a subclass of kserve.Model"
    if directory.files and all(name.lower().endswith(_DATA) for name in directory.files):
        return f"these are data or notes: copy the saved model here; {_FORMATS}"
    return _FORMATS


def _deeper(directory: ModelDir, path: str, depth: int, left: list[int]) -> str:
    """The first folder below that an adapter claims; at most so many (`left`) are looked at."""
    for name in directory.dirs if depth else ():
        left[0] -= 1
        if left[0] < 0:
            return ""
        inner, below = directory.folder(name), f"{path}{name}/"
        try:
            if is_crowded(inner):
                continue
            if any(not claim.match.problem for claim in registry.claims_on(inner)):
                return below
        except Exception:  # an adapter fails at what lies there, as loading would
            continue
        if found := _deeper(inner, below, depth - 1, left):
            return found
    return ""
