"""From a `model.py` that has run to a model that is loaded: the one it started, or its class built and loaded."""

from __future__ import annotations

import asyncio
import contextvars
import difflib
import inspect
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from adapters.base import LoadError
from adapters.custom_ import mount
from adapters.custom_.application import event_loop
from adapters.custom_.program import Program, failure

_NAMES = ("name", "model_name")
#: parameters of constructors that take the model's folder
_FOLDERS = ("model_dir", "model_path", "model_directory", "model_folder", "storage_path", "artifacts_dir")


def build(program: Program, hinted: set[str], name: str, folder: Path, options: Mapping[str, Any]) -> Any:
    """The user's model, loaded and ready, under the name that it is served under.

    `hinted` are the classes that the file's own script uses.

    Raises:
        LoadError: there is none, there are several, or it could not be built or loaded.
    """
    wanted = str(options.get("class", ""))
    model = _started(program, wanted, name)
    try:
        if model is None:
            model = _construct(_class(program, wanted, hinted), name, folder, options)
        _load(model, name)
    except LoadError:
        raise
    except BaseException as error:
        raise failure(error, folder) from error
    return model


def check_answers(model: Any) -> None:
    """
    Raises:
        LoadError: it has nothing of its own to answer with: each request would be told that there is no predictor.
    """
    from kserve import Model

    kind = type(model)
    hooks = ("preprocess", "predict", "postprocess", "explain", "__call__")
    if not isinstance(model, Model) or any(getattr(kind, name) is not getattr(Model, name) for name in hooks):
        return
    if getattr(model, "predictor_host", None) or set(hooks) & vars(model).keys():
        return
    near = difflib.get_close_matches("predict", vars(kind), n=1)
    hint = f"; is {near[0]} meant to be it?" if near else ": write one, with the request and its headers as arguments"
    raise LoadError(f"model.py: {kind.__name__} defines no predict{hint}")


def settled(value: Any) -> Any:
    """The value, or what it comes to when it has to be awaited.

    On this thread's event loop, which is the one that answers requests later: clients and locks belong to a loop.
    """
    if not inspect.isawaitable(value):
        return value

    async def wait() -> Any:
        return await value

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return event_loop().run_until_complete(wait())
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(contextvars.copy_context().run, asyncio.run, wait()).result()


def _started(program: Program, wanted: str, name: str) -> Any:
    """The model that the file started itself; None when it started none of that class."""
    models = [model for model in program.models if wanted in ("", type(model).__name__)]
    if len(models) > 1:
        models = [model for model in models if getattr(model, "name", "") == name] or models
    if len(models) > 1:
        names = ", ".join(f"{getattr(model, 'name', '?')} ({type(model).__name__})" for model in models)
        raise LoadError(f"model.py starts {len(models)} models: {names}; {_HOW_TO_CHOOSE}")
    return models[0] if models else None


def _class(program: Program, wanted: str, hinted: set[str]) -> type:
    from kserve.model import BaseKServeModel

    found = {name: value for name, value in vars(program.module).items() if inspect.isclass(value)}
    found = {name: cls for name, cls in found.items() if issubclass(cls, BaseKServeModel)}
    if wanted:
        if wanted in found:
            return found[wanted]
        raise LoadError(f"model.py has no subclass of kserve.Model called {wanted} (option class)")
    theirs = {name: cls for name, cls in found.items() if cls.__module__.partition(".")[0] != "kserve"}
    own = {name: cls for name, cls in theirs.items() if cls.__module__ == program.module.__name__} or theirs
    leaves = {cls: name for name, cls in own.items() if not any(cls in other.__mro__[1:] for other in own.values())}
    used = {cls: name for cls, name in leaves.items() if name in hinted}
    chosen = used if len(used) == 1 else leaves
    if not chosen:
        raise LoadError("model.py defines no subclass of kserve.Model")
    if len(chosen) > 1:
        raise LoadError(
            f"model.py has several subclasses of kserve.Model: {', '.join(leaves.values())}; {_HOW_TO_CHOOSE}"
        )
    return next(iter(chosen))


_HOW_TO_CHOOSE = "keep one, or name the class in polyserve.yaml: options: {class: NAME}"


def _construct(cls: type, name: str, folder: Path, options: Mapping[str, Any]) -> Any:
    """`Model(name)`, with the folder where the constructor takes one; its own defaults stand."""
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        raise LoadError(f"{cls.__name__} is abstract: it does not define {', '.join(missing)}")
    parameters = inspect.signature(cls).parameters
    named = any(parameter in parameters for parameter in _NAMES)
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for parameter in parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL or parameter.kind is parameter.VAR_KEYWORD:
            if not named:  # handed on to kserve.Model
                if parameter.kind is parameter.VAR_KEYWORD:
                    keywords["name"] = name
                elif keywords:
                    continue
                else:
                    positional.append(name)
                named = True
            continue
        found, value = _argument(parameter, name, folder, options, named)
        if found and parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(value)
        elif found:
            keywords[parameter.name] = value
        named = named or (found and value is name)
    return cls(*positional, **keywords)


def _argument(
    parameter: inspect.Parameter, name: str, folder: Path, options: Mapping[str, Any], named: bool
) -> tuple[bool, Any]:
    """Whether a constructor's parameter is given a value, and which."""
    required = parameter.default is parameter.empty
    if parameter.name in _NAMES:
        return True, name
    if parameter.name in _FOLDERS and (required or _stands_for_mount(parameter.default, folder)):
        return True, str(folder)
    if parameter.name.startswith("predictor_") and parameter.name in options:
        return True, options[parameter.name]
    if not required:
        return False, None
    if not named:
        return True, name
    raise LoadError(
        f"the constructor needs {parameter.name!r}, which has no default: give it one, "
        'or build the model yourself and start it at the end of model.py, under if __name__ == "__main__"'
    )


def _stands_for_mount(default: Any, folder: Path) -> bool:
    return default is None or str(default).rstrip("/") in ("", mount.MOUNT, str(folder))


def _load(model: Any, name: str) -> None:
    """What KServe's users and its server do before the first request.

    A model whose constructor has loaded it is left alone. Many never set `ready`; only a `load` that answers False
    says that it failed.
    """
    if not hasattr(model, "ready"):
        raise LoadError(f"{type(model).__name__}.__init__ does not call super().__init__(name)")
    model.name = name
    if not model.ready and settled(model.load()) is False and not model.ready:
        raise LoadError("load() returned False")
    model.ready = True
    if hasattr(model, "start"):  # since KServe 0.14
        settled(model.start())
    if getattr(model, "engine", False):
        settled(model.start_engine())
    model.ready = True
    model.enable_latency_logging = False  # a line a request; the server has its own
