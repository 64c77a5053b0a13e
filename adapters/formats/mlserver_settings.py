"""`model-settings.json`: which file of the folder MLServer would load, and what it calls the version.

    {"name": "iris", "implementation": "mlserver_sklearn.SKLearnModel",
     "parameters": {"uri": "./model.joblib", "version": "v0.1.0"}}

`uri` is a file, or a folder, relative to the settings. Addresses, and what is not there, say nothing about this folder.

Source: MLServer's model settings.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from adapters.modeldir import ModelDir

__all__ = ["FILE", "Named", "read", "unread_default"]

FILE = "model-settings.json"
_LIMIT = 1 << 20  #: bytes


@dataclass(frozen=True)
class Named:
    """What the settings lead to."""

    directory: ModelDir  #: the folder of the model
    file: str = ""  #: in it; "": the folder as a whole
    version: str = ""


def read(model_dir: ModelDir) -> Named | None:
    """What the settings name in their folder; None where they are not there, or name nothing that is there."""
    parameters = _settings(model_dir).get("parameters")
    if not isinstance(parameters, dict):
        return None
    found = _found(model_dir, _text(parameters, "uri"))
    return None if found is None else Named(*found, version=_text(parameters, "version"))


def unread_default(model_dir: ModelDir) -> str:
    """What the settings make of an input that a request does not say itself, and that is not done here; or ""."""
    inputs = _settings(model_dir).get("inputs")
    for each in inputs if isinstance(inputs, list) else ():
        parameters = each.get("parameters") if isinstance(each, dict) else None
        if isinstance(parameters, dict) and parameters.get("content_type") == "base64":
            name = str(each.get("name"))[:60]
            return f"{FILE} has {name!r} decoded from base64, which requests have to say here: content_type base64"
    return ""


def _settings(model_dir: ModelDir) -> dict[str, Any]:
    try:
        settings = json.loads(model_dir.head(FILE, _LIMIT)) if model_dir.has(FILE) else None
    except (OSError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _text(parameters: dict[str, Any], name: str) -> str:
    value = parameters.get(name)
    return value if isinstance(value, str) else ""


def _found(model_dir: ModelDir, uri: str) -> tuple[ModelDir, str] | None:
    above = f"{model_dir.path}/"
    if uri.startswith("/") and not uri.startswith(above):
        return None
    parts = [part for part in uri.removeprefix(above).split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        return None
    *folders, last = parts
    try:
        place = model_dir.folder("/".join(folders))
    except FileNotFoundError:
        return None
    if last in place.files:
        return place, last
    return (place.folder(last), "") if last in place.dirs else None
