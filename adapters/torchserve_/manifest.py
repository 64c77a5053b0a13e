"""`MAR-INF/MANIFEST.json`: what a model archive says of itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from adapters.base import LoadError

PATH = "MAR-INF/MANIFEST.json"
MAX_BYTES = 1 << 20

#: handlers that come with TorchServe -> modules that ours need; those that it lacks -> why
DEFAULTS = {
    "base_handler": ("torch",),
    "image_classifier": ("torch", "PIL"),
    "image_segmenter": ("torch", "PIL"),
    "object_detector": ("torch", "PIL"),
    "text_classifier": ("torch",),
}
_ABSENT = {
    "dali_image_classifier": "NVIDIA DALI",
    "vllm_handler": "vLLM",
    "trt_llm_handler": "TensorRT-LLM",
}
_LONGEST = 100  #: characters of a version
_FILES = ("serializedFile", "modelFile", "requirementsFile", "configFile")


@dataclass(frozen=True)
class Manifest:
    """The parts that serving needs; `document` is the whole, as handlers get it."""

    document: dict[str, Any]
    handler: str  #: a module of the archive or a default handler, without `.py`
    function: str  #: the function in it to call; "" for `handle`, or the class that has one
    serialized: str = ""
    model_file: str = ""
    requirements: str = ""
    config: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the archive must hold."""
        return tuple(name for name in (self.serialized, self.model_file, self.requirements, self.config) if name)

    @property
    def version(self) -> str:
        """What its maker calls the version, for the route of TorchServe's clients; "" where it is no short text."""
        version = self.document["model"].get("modelVersion")
        return version if isinstance(version, str) and version.isprintable() and len(version) <= _LONGEST else ""

    def problem(self, names: frozenset[str]) -> str:
        """Why an archive of these files cannot be served, or ""."""
        if missing := [name for name in self.files if name not in names]:
            return f"its manifest names {missing[0]}, which it does not hold"
        if self.is_own(names) or self.handler in DEFAULTS:
            return ""
        if needed := _ABSENT.get(self.handler):
            return f"its handler {self.handler} needs TorchServe with {needed}: pack it with a handler of its own"
        return f"its manifest names the handler {self.handler}, but it holds no {self.handler}.py"

    def is_own(self, names: frozenset[str]) -> bool:
        """The archive brings its handler itself."""
        return f"{self.handler}.py" in names or f"{self.handler}/__init__.py" in names


def parse(data: bytes) -> Manifest:
    """A manifest from its JSON.

    Raises:
        LoadError: it is no manifest, or names files elsewhere.
    """
    if len(data) > MAX_BYTES:
        raise LoadError(f"{PATH} is longer than {MAX_BYTES >> 20} MiB")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise LoadError(f"{PATH} is not JSON") from error
    model = document.get("model") if isinstance(document, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("handler"), str):
        raise LoadError(f"{PATH} names no handler: model.handler is missing")
    if "lsp" in str(document.get("runtime", "")).lower():
        raise LoadError("its handler is a compiled library (runtime LSP), which is not served: pack a Python handler")
    module, _, function = model["handler"].partition(":")
    handler = _plain(module.strip(), "handler").rpartition("/")[2].removesuffix(".py")
    if not handler.isidentifier() or (function and not function.isidentifier()):
        raise LoadError(f"{PATH}: handler {model['handler'][:100]!r} is neither a module nor module:function")
    return Manifest(document, handler, function, *(_file(model, key) for key in _FILES))


def _file(model: dict[str, Any], key: str) -> str:
    value = model.get(key)
    if value is None or value == "":
        return ""
    if not isinstance(value, str):
        raise LoadError(f"{PATH}: {key} must be a file's name")
    return _plain(value, key)


def _plain(name: str, key: str) -> str:
    """A path inside the archive."""
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or not all(parts) or {".", ".."} & set(parts):
        raise LoadError(f"{PATH}: {key} {name[:100]!r} leads out of the archive")
    return name
