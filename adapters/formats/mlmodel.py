"""`MLmodel`, the description of an MLflow model: YAML, read without objects, aliases or surprises in size."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.base import LoadError, ModelDir
from adapters.modeldir import inside

__all__ = ["FILE", "MLmodel", "UnreadableDescription", "describing", "read", "read_yaml"]

FILE = "MLmodel"
_ABOVE = 2  #: folders between the description and the files: data/model/saved_model.pb
_LIMIT = 1 << 20  #: bytes; a signature of ten thousand columns takes some hundred thousand
#: YAML reads 1:30:00 as 5,400, and multiplies for each colon what came before
_SIXTIES, _LONGEST = re.compile(r"[-+]?[0-9_]+(:[0-9_.]+)+"), 100
_DEEPEST, _MOST = 50, 20_000  #: levels, and values and brackets; what MLflow writes has 5 and some hundred


class UnreadableDescription(LoadError):
    """The file is no description of an MLflow model; the message is the reason."""


@dataclass(frozen=True)
class MLmodel:
    """What the file says, as far as it matters here."""

    flavors: Mapping[str, Mapping[str, Any]]
    #: of the signature, each parsed from its JSON; None where the model has none
    inputs: list[dict[str, Any]] | None = None
    outputs: list[dict[str, Any]] | None = None
    params: list[dict[str, Any]] = field(default_factory=list)
    example: Mapping[str, Any] = field(default_factory=dict)  #: where an example of the input was saved, and how

    @property
    def pyfunc(self) -> Mapping[str, Any] | None:
        """The flavor that MLflow itself can always load."""
        return self.flavors.get("python_function")


def read(model_dir: ModelDir) -> MLmodel:
    """Read `MLmodel`.

    Raises:
        UnreadableDescription: it is damaged.
    """
    document = read_yaml(model_dir, FILE)
    flavors = document.get("flavors")
    if not isinstance(flavors, dict) or not flavors or not all(isinstance(conf, dict) for conf in flavors.values()):
        raise UnreadableDescription(f"{FILE} lists no flavors, so nothing says how to load the model")
    signature = document.get("signature") or {}
    if not isinstance(signature, dict):
        raise UnreadableDescription(f"{FILE}: signature is no mapping")
    example = document.get("saved_input_example_info")
    return MLmodel(
        {str(name): conf for name, conf in flavors.items()},
        _specs(signature, "inputs"),
        _specs(signature, "outputs"),
        _specs(signature, "params") or [],
        example if isinstance(example, dict) else {},
    )


def describing(model_dir: ModelDir) -> MLmodel | None:
    """The description of the MLflow model whose framework's own files these are: beside them, or in a folder above."""
    place = model_dir.path
    for _ in range(_ABOVE + 1):
        # Asked by its name: the folder above may be a mount of a thousand models.
        if (place / FILE).is_file() and inside(place / FILE, model_dir.root):
            with contextlib.suppress(OSError, LoadError):  # another's, as whoever claims this one had read its own
                return read(replace(model_dir, path=place))
        if place == model_dir.root:
            return None
        place = place.parent
    return None


def read_yaml(model_dir: ModelDir, name: str) -> dict[str, Any]:
    """A YAML mapping: plain values only.

    Raises:
        UnreadableDescription: it is none, too long, or holds an alias, with which a few lines can stand for any amount
            of data.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = model_dir.head(name, _LIMIT + 1)
    if len(text) > _LIMIT:
        raise UnreadableDescription(f"{name} is longer than {_LIMIT >> 20} MiB")
    try:
        _check_events(yaml.parse(text, loader), name)
        document = yaml.load(text, loader)
    except UnreadableDescription:
        raise
    except (yaml.YAMLError, ValueError) as error:
        raise UnreadableDescription(f"{name} is damaged: {' '.join(str(error).split())}") from error
    except Exception as error:  # `!!int ""`, `!!bool maybe`: PyYAML trips over them in many ways
        raise UnreadableDescription(f"{name} holds a value that nothing can stand for: {error!r:.80}") from error
    if not isinstance(document, dict):
        raise UnreadableDescription(f"{name} holds no mapping")
    return document


def _check_events(events: Iterable[Any], name: str) -> None:
    """Go through a document's parts one by one, before anything is made of them."""
    import yaml

    depth = 0
    for count, event in enumerate(events):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise UnreadableDescription(f"{name} holds a YAML alias, which MLflow does not write")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > _LONGEST and _SIXTIES.fullmatch(event.value):
            raise UnreadableDescription(f"{name} holds a number of more than {_LONGEST} digits")
        if depth > _DEEPEST or count > _MOST:
            raise UnreadableDescription(f"{name} is nested too deep, or holds too much, for a description of a model")


def _specs(signature: Mapping[str, Any], key: str) -> list[dict[str, Any]] | None:
    """A part of the signature, which is a list of specs as JSON text."""
    text = signature.get(key)
    if text is None:
        return None
    try:
        specs = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError) as error:
        raise UnreadableDescription(f"{FILE}: signature.{key} is damaged: {error}") from error
    if not isinstance(specs, list) or not all(isinstance(spec, dict) for spec in specs):
        raise UnreadableDescription(f"{FILE}: signature.{key} is no list of specs")
    return specs or None
