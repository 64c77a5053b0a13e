"""Classes of a module, labels of a classifier, errors that carry a status."""

from __future__ import annotations

import inspect
import json
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

logger = logging.getLogger(__name__)

CLEANUP_REGEX = re.compile("<.*?>|&([a-z0-9]+|#[0-9]{1,6}|#x[0-9a-f]{1,6});")


class PredictionException(Exception):
    """Raised by a handler: the answer's status and message."""

    def __init__(self, message: str, error_code: int = 500) -> None:
        self.message = message
        self.error_code = error_code
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message} : {self.error_code}"


def list_classes_from_module(module: ModuleType, parent_class: type | None = None) -> list[type]:
    """The classes that the module itself defines (below `parent_class`)."""
    classes = [each for _, each in inspect.getmembers(module, inspect.isclass) if each.__module__ == module.__name__]
    return [each for each in classes if parent_class is None or issubclass(each, parent_class)]


def get_yaml_config(yaml_file_path: str) -> dict[str, Any]:
    """The model's own configuration (`torch-model-archiver --config-file`)."""
    import yaml

    config = yaml.safe_load(Path(yaml_file_path).read_text(encoding="utf-8"))
    return config if isinstance(config, dict) else {}


def load_label_mapping(mapping_file_path: str) -> dict[str, str] | None:
    """`index_to_name.json`: class numbers to labels; a list's last entry is the label. None without the file."""
    path = Path(mapping_file_path)
    if not path.is_file():
        logger.info("there is no %s: answers hold class numbers", path.name)
        return None
    mapping = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(mapping, dict):
        raise ValueError(f'{path.name} must be an object of "class": "label"')  # noqa: TRY004
    names = mapping.get("object_type_names")
    if isinstance(names, list):
        return {str(number): name for number, name in enumerate(names)}
    labels = {number: label[-1] if isinstance(label, list) and label else label for number, label in mapping.items()}
    if not all(isinstance(label, str) for label in labels.values()):
        raise ValueError(f"{path.name}: a label must be a string or a list of strings")
    return labels


def map_class_to_label(
    probs: list[list[Any]], mapping: dict[str, str] | None = None, lbl_classes: Iterable[Iterable[Any]] | None = None
) -> list[dict[str, Any]]:
    """One object an instance: label (or class number) -> probability."""
    if not isinstance(probs, list):
        raise ValueError("probabilities must be a list of lists")  # noqa: TRY004
    classes = lbl_classes if lbl_classes is not None else [range(len(row)) for row in probs]
    return [
        {(mapping[str(number)] if mapping is not None else str(number)): value for number, value in zip(*row)}  # noqa: B905
        for row in zip(classes, probs)  # noqa: B905
    ]
