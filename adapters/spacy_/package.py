"""Where a pipeline lies: a folder of `nlp.to_disk`, or what `spacy package` made of it (folder, wheel, source archive).

    en_x-0.0.0/                     what is built: meta.json, setup.py, ...
      en_x/                         the Python package; a wheel begins here
        __init__.py                 spaCy's own text, which nobody needs, unless the package brings code
        functions.py                `--code`: components and functions of its own
        en_x-0.0.0/                 the pipeline: config.cfg, meta.json, ...

Looking executes nothing. A package's code is imported only by `imported`, in a worker.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.base import LoadError, ModelDir
from adapters.formats import probe
from adapters.torchserve_.archive import MAX_SMALL, Archive, TarArchive, ZipArchive

META, CONFIG = "meta.json", "config.cfg"

#: what lies around the data folder of a package without `__init__.py`
_PAPERS = {META, "__init__.py", "LICENSE", "LICENSES_SOURCES", "README.md", "polyserve.yaml"}
#: what packages are built with, and code
_TOOLS = (".py", ".so", ".pyd", ".in", ".cfg", ".toml", ".txt", ".md", "PKG-INFO")
#: folders that building a package leaves behind
_BUILT = ("build", "dist")
_INFO = (".dist-info", ".egg-info")
_DEEPEST = 2  #: folders above the package


@dataclass(frozen=True, slots=True)
class PipelinePlace:
    """A pipeline's folders, relative to where it was looked for ("" is that itself)."""

    data: str
    package: str | None = None  #: the Python package around it
    code: str = ""  #: which file of the package is code of its own; "": none

    @property
    def carries(self) -> str:
        """For `Match.carries`."""
        return f"imports {self.code}, code that came with the pipeline" if self.code else ""


def find(model_dir: ModelDir) -> PipelinePlace:
    """The pipeline in a folder; the folder itself where there is none in it."""
    if CONFIG in model_dir.files:
        return PipelinePlace("")
    if place := _in_package(model_dir, "", 0):
        return place
    if len(model_dir.dirs) == 1 and set(model_dir.files) <= _PAPERS and not model_dir.dirs[0].isdigit():
        (name,) = model_dir.dirs
        if _is_pipeline(model_dir.folder(name)):
            return PipelinePlace(name)
    return PipelinePlace("")


def in_archive(model_dir: ModelDir) -> tuple[str, PipelinePlace] | None:
    """The only wheel (or source archive) in the folder that holds a pipeline, and the pipeline's place in it.

    Raises:
        LoadError: it is damaged, or unsafe to unpack.
    """
    wheels = [name for name in model_dir.named(".whl") if any(_is_config(n) for n in probe.zip_names(model_dir, name))]
    sources = [] if wheels else [name for name in model_dir.named(".tar.gz") if model_dir.head(name, 2) == b"\x1f\x8b"]
    if len(wheels or sources) != 1:
        return None
    (name,) = wheels or sources
    archive = opened(model_dir.file(name))
    names = archive.names
    for config in sorted(each for each in names if _is_config(each)):
        package, folder, _ = config.rsplit("/", 2)
        if {f"{package}/{folder}/{META}", f"{package}/__init__.py"} <= names:
            inner = {each.removeprefix(f"{package}/") for each in names if each.startswith(f"{package}/")}
            own = _own_code(inner, lambda: archive.read(f"{package}/__init__.py", MAX_SMALL))  # noqa: B023  called here
            return name, PipelinePlace(f"{package}/{folder}", package, own and f"{package}/{own}")
    return None


def opened(path: Path) -> Archive:
    """The archive of that file."""
    return ZipArchive(path) if path.suffix == ".whl" else TarArchive(path)


def imported(folder: Path, package: str) -> Any:
    """The package, imported: what its code registers with spaCy is there afterwards.

    Raises:
        LoadError: its code fails.
    """
    sys.dont_write_bytecode = True  # the folder is the user's, and may be read-only
    parent, _, name = str(folder / package).rpartition("/")
    sys.path.insert(0, parent)
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise LoadError(f"the pipeline's package {name} does not import: {type(error).__name__}: {error}") from error


def _in_package(folder: ModelDir, path: str, depth: int) -> PipelinePlace | None:
    """The package that the folder is, or that it holds."""
    if not all(name in _PAPERS or name.endswith(_TOOLS) for name in folder.files):
        return None  # something else lies there, too
    if folder.has("__init__.py"):
        data = [name for name in folder.dirs if _is_pipeline(folder.folder(name))]
        if len(data) != 1:
            return None
        files = {*folder.files, *(f"{d}/{name}" for d in folder.dirs for name in folder.folder(d).named(".py"))}
        own = _own_code(files, lambda: folder.head("__init__.py", MAX_SMALL))
        package = path or "."
        return PipelinePlace(_joined(path, data[0]), package, own and _joined(path, own))
    inner = [name for name in folder.dirs if name not in _BUILT and not name.endswith(_INFO) and not name.isdigit()]
    if depth >= _DEEPEST or len(inner) != 1:
        return None
    return _in_package(folder.folder(inner[0]), _joined(path, inner[0]), depth + 1)


def _own_code(files: Collection[str], initial: Callable[[], bytes]) -> str:
    """The file of a package (by its names) with what its pipeline may need to be registered; "" where there is none.

    spaCy's own `__init__.py` holds nothing of the kind.
    """
    if modules := sorted(name for name in files if name.endswith((".py", ".so", ".pyd")) and name != "__init__.py"):
        return modules[0]
    try:
        tree = ast.parse(initial())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""  # it could not be imported either, and the pipeline may do without
    return "__init__.py" if any(_registers(node) for node in ast.walk(tree)) else ""


def _registers(node: ast.AST) -> bool:
    """Whether it may bring something that the pipeline's configuration names."""
    match node:
        case ast.ImportFrom(level=level) if level:
            return True
        case ast.FunctionDef(decorator_list=decorators) | ast.ClassDef(decorator_list=decorators) if decorators:
            return True
        case ast.Call(func=ast.Attribute(attr="component" | "factory" | "register" | "set_extension")):
            return True
    return False


def _is_pipeline(folder: ModelDir) -> bool:
    return folder.has(CONFIG, META)


def _is_config(name: str) -> bool:
    return name.endswith(f"/{CONFIG}") and name.count("/") >= 2


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
