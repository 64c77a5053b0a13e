"""What a worker is sent, and what it sends of its model: jobs, signatures and hellos as plain fields.

What comes from a worker is checked field by field: strangers' code runs there, and the server builds on these values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, TypeVar, get_type_hints

from adapters.base import LoadError, ModelDir, Parameter, Signature, Tensors, TensorSpec
from adapters.datatypes import NUMPY_OF

_T = TypeVar("_T", TensorSpec, Parameter)

_KINDS: Mapping[str, type] = {kind.__name__: kind for kind in (str, bool, int, float)}
_SPECS = ("inputs", "outputs", "explanations")


@dataclass(frozen=True)
class WorkerModel:
    """What a worker loads."""

    adapter: str
    directory: ModelDir
    file: str
    options: Mapping[str, Any]

    def to_fields(self) -> dict[str, Any]:
        where = {
            name: str(value) if isinstance(value, Path) else value for name, value in asdict(self.directory).items()
        }
        return {"adapter": self.adapter, "directory": where, "file": self.file, "options": dict(self.options)}

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> Self:
        sent = job["directory"]
        where = {**sent, "path": Path(sent["path"]), "root": Path(sent["root"]), "alone": tuple(sent["alone"])}
        return cls(job["adapter"], ModelDir(**where), job["file"], job["options"])


@dataclass(frozen=True)
class Hello:
    """A model that a worker has loaded."""

    signature: Signature
    platform: str
    batchable: bool  #: merged rows gave the same answers as single ones
    seconds: float  #: to load it
    memory_bytes: int  #: resident, of the whole worker and of what it started
    example: Tensors
    example_error: str = ""  #: why the model refused its example
    reserve_bytes: int = 0  #: that it may come to take beside those

    def to_fields(self) -> dict[str, Any]:
        """All but the example, which travels as tensors."""
        plain = {name: getattr(self, name) for name in ("platform", "batchable", "seconds", "memory_bytes")}
        plain["reserve_bytes"] = self.reserve_bytes
        return {**plain, "example_error": self.example_error, "signature": signature_to_fields(self.signature)}

    @classmethod
    def of(cls, hello: Mapping[str, Any], example: Tensors) -> Self:
        """
        Raises:
            LoadError: the fields are not what they should be.
        """
        return cls(
            signature_of(_checked(hello, "signature", dict)),
            _checked(hello, "platform", str),
            _checked(hello, "batchable", bool),
            float(_checked(hello, "seconds", float)),
            _checked(hello, "memory_bytes", int),
            example,
            _checked(hello, "example_error", str),
            max(0, _checked(hello, "reserve_bytes", int)),
        )


def signature_to_fields(signature: Signature) -> dict[str, Any]:
    """The signature as plain values."""
    plain: dict[str, Any] = asdict(signature)
    for parameter in plain["parameters"]:
        parameter["kind"] = parameter["kind"].__name__
    return plain


def signature_of(received: Mapping[str, Any]) -> Signature:
    """The signature that `signature_to_fields` wrote.

    Raises:
        LoadError: the fields are not what they should be.
    """
    values = {field.name: received[field.name] for field in fields(Signature) if field.name in received}
    for name in _SPECS:
        values[name] = tuple(_spec(spec) for spec in _checked(received, name, list))
    values["parameters"] = tuple(_parameter(parameter) for parameter in _checked(received, "parameters", list))
    values["columns"] = tuple(_all_of(str, _checked(received, "columns", list)))
    variants = _checked(received, "variants", dict)
    values["variants"] = {name: signature_of(variants[name]) for name in _all_of(str, list(variants))}
    _all_of(str, [values.get("task", "")])
    values["labels"] = tuple(_all_of(str, _checked({"labels": [], **received}, "labels", list)))
    flags = [name for name in values if name not in (*_SPECS, "parameters", "columns", "variants", "task", "labels")]
    _all_of(bool, [values[name] for name in flags])
    return Signature(**values)


def _spec(received: Any) -> TensorSpec:
    shape = tuple(_all_of(int, _checked(received, "shape", list)))
    labels = tuple(_all_of(str, _checked({"labels": [], **received}, "labels", list)))
    spec = _dataclass(TensorSpec, received, shape=shape, labels=labels, whole=())
    if spec.datatype not in NUMPY_OF or any(size < -1 for size in spec.shape):
        raise LoadError(f"the worker sent a tensor that does not exist: {spec}")
    return spec


def _parameter(received: Any) -> Parameter:
    kind = _KINDS.get(_checked(received, "kind", str))
    if kind is None:
        raise LoadError("the worker sent a parameter of an unknown kind")
    return _dataclass(Parameter, received, kind=kind, choices=tuple(_checked(received, "choices", list)))


def _dataclass(kind: type[_T], received: Mapping[str, Any], /, **known: Any) -> _T:
    """An instance of a flat dataclass, some fields of which are known already; what this side lacks is left out."""
    hints = get_type_hints(kind)
    plain = {field.name for field in fields(kind) if field.name in received} - known.keys()
    for name in plain:
        _checked(received, name, hints[name])
    if missing := {field.name for field in fields(kind) if field.default is MISSING} - plain - known.keys():
        raise LoadError(f"the worker sent a {kind.__name__} without {', '.join(sorted(missing))}")
    return kind(**{name: received[name] for name in plain}, **known)


def _checked(received: Any, name: str, kind: type) -> Any:
    value = received.get(name) if isinstance(received, Mapping) else None
    if type(value) is not kind:
        raise LoadError(f"the worker sent a malformed {name}")
    return value


def _all_of(kind: type, values: Sequence[Any]) -> Sequence[Any]:
    if any(type(value) is not kind for value in values):
        raise LoadError("the worker sent a malformed signature")
    return values
