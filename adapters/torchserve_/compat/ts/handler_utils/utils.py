"""Importing a class by its name; answers in pieces."""

from __future__ import annotations

import importlib
from typing import Any, NoReturn


def import_class(class_name: str, module_prefix: str | None = None) -> Any:
    """The class of a dotted name, below `module_prefix` if there is one.

    Raises:
        ImportError: there is none.
    """
    module, _, name = class_name.rpartition(".")
    path = ".".join(part for part in (module_prefix, module) if part)
    if not path or not name:
        raise ImportError(f"{class_name!r} names no module and class")
    found = getattr(importlib.import_module(path), name, None)
    if found is None:
        raise ImportError(f"class {name} is not in module {path}")
    return found


def send_intermediate_predict_response(*_: Any, **__: Any) -> NoReturn:
    """Answers in pieces are TorchServe's alone.

    Raises:
        NotImplementedError
    """
    raise NotImplementedError("this server takes a handler's answer as a whole: return it from handle()")
