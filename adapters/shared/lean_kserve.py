"""KServe without what serving never uses of it: imported in two thirds of the time, by the server and custom models.

`import kserve` brings its client for Kubernetes, 120 classes of its resources among it, and, through httpx, a command
line with its colours. While `lean` holds, those modules are put off: what KServe's packages take from them is a name
that stands for it, and once KServe is there, the names are gone again and `kserve.KServeClient` is imported when
somebody asks for it. Nothing else is touched: whatever asks for such a module later imports the real one.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["lean"]

#: of KServe: the client and what only it needs
_PUT_OFF = ("kserve.api.kserve_client", "kserve.api_client", "kserve.configuration", "kserve.models")
#: beginnings of the versions of KServe that this was tried with; a model's own environment may bring another
_TRIED = ("0.21.",)
#: httpx's command line, which httpx itself does without where this cannot be imported
_COMMAND_LINE = "httpx._main"


class _PutOff:
    """A name of a module that is put off."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name


class _Finder(Loader):
    """Finds the modules that are put off, and makes empty ones for them."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if _is_put_off(name) else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        module.__dict__["__getattr__"] = lambda name: _stand_in(spec.name, name)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It stays empty."""


def _stand_in(module: str, name: str) -> _PutOff:
    if name.startswith("__"):
        raise AttributeError(name)
    return _PutOff(module, name)


def _is_put_off(name: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in _PUT_OFF)


@contextlib.contextmanager
def lean() -> Iterator[None]:
    """Within, KServe is imported without its client, if it is not there yet.

    Before other threads import anything of KServe's: they would see the stand-ins.
    """
    if "kserve" in sys.modules or not importlib.metadata.version("kserve").startswith(_TRIED):
        yield
        return
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    with _without(_COMMAND_LINE):
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            _take_out()


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """Within, the module cannot be imported, if it has not been."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # the documented way to say so
    try:
        yield
    finally:
        del sys.modules[module]


def _take_out() -> None:
    """Take the stand-ins out, and have the package import what they stood for when it is asked for."""
    for name in [name for name in sys.modules if _is_put_off(name)]:
        del sys.modules[name]
        parent, _, last = name.rpartition(".")
        vars(sys.modules[parent]).pop(last, None) if parent in sys.modules else None
    package = sys.modules.get("kserve")
    if package is None:
        return
    put_off = {name: value for name, value in vars(package).items() if isinstance(value, _PutOff)}
    for name in put_off:
        delattr(package, name)
    modules = {name.rpartition(".")[2] for name in _PUT_OFF if name.count(".") == 1}

    def find(name: str) -> Any:
        if name in modules:
            return importlib.import_module(f"kserve.{name}")
        if (stood := put_off.get(name)) is None:
            raise AttributeError(f"module 'kserve' has no attribute {name!r}")
        found = getattr(importlib.import_module(stood.module), stood.name)
        setattr(package, name, found)
        return found

    public = [name for name in vars(package) if not name.startswith("_")]
    vars(package).setdefault("__all__", [*public, *put_off])  # what `from kserve import *` takes
    vars(package)["__getattr__"] = find
