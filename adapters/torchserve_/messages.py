"""Instances as what handlers take, and what they answer as predictions.

A handler takes a list of requests, each a dict of its parts: `{"body": ...}`, or a form's fields. An instance that is
an object with "data" or "body" is such a request; any other value becomes the body of one. With the parameter
`envelope: http` an instance is a whole HTTP request, `{"headers": {...}, "parts": {...}}`, and a prediction its whole
answer, `{"status": 200, "headers": {...}, "body": ...}`: the route `/predictions` uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.base import InvalidInput, Parameter

HTTP = "http"
ENVELOPE = Parameter(
    "envelope", str, ("instance", HTTP), "http: instances are whole requests, predictions are whole answers"
)
_DEEPEST = 64


@dataclass(frozen=True)
class Part:
    """One request for the handler."""

    data: Any
    headers: Mapping[str, Any] = field(default_factory=dict)


class _Instance(dict[str, Any]):
    """A V1 or V2 instance as a request. The metadata calls the input `data`, TorchServe a bare body `body`: handlers
    read either, and find the value under both names."""

    _OTHER = {"data": "body", "body": "data"}  # noqa: RUF012

    def __missing__(self, name: str) -> Any:
        other = self._OTHER.get(name)
        if other is None or other not in self:
            raise KeyError(name)
        return self[other]

    def get(self, name: str, default: Any = None) -> Any:
        """As a dict's, which would not ask `__missing__`."""
        try:
            return self[name]
        except KeyError:
            return default


def request_of(element: Any, http: bool, bare: bool) -> Part:
    """One element of the input as a request; `bare` (a service envelope) hands instances to the handler as they are.

    Raises:
        InvalidInput: with `http`, it is no request.
    """
    if not http:
        if bare:
            return Part(_buffers(element))
        own = isinstance(element, dict) and ("data" in element or "body" in element)
        return Part(_Instance(_buffers(element) if own else {"body": _buffers(element)}))
    if not isinstance(element, dict) or not element.keys() <= {"headers", "parts"}:
        raise InvalidInput('with "envelope": "http" an instance must be an object with "headers" and "parts"')
    parts, headers = element.get("parts", {}), element.get("headers", {})
    if not isinstance(parts, dict) or not isinstance(headers, dict):
        raise InvalidInput('"headers" and "parts" must be objects')
    return Part(_buffers(parts), headers)


def _buffers(value: Any) -> Any:
    """Bytes, and those among the values of an object, as the type in which TorchServe gives them."""
    if isinstance(value, bytes):
        return bytearray(value)
    return {name: _buffers(item) for name, item in value.items()} if isinstance(value, dict) else value


def plain(value: Any, depth: int = 0) -> Any:
    """A handler's value as JSON's, with bytes among them: tensors and arrays become lists.

    Raises:
        TypeError: it holds what JSON cannot say.
    """
    if depth > _DEEPEST:
        raise TypeError(f"the handler's answer is nested more than {_DEEPEST} deep")
    if value is None or isinstance(value, str | bool | int | float | bytes):
        return value
    if isinstance(value, Mapping):
        return {_key(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if callable(getattr(value, "tolist", None)):  # torch's tensors, numpy's arrays and scalars
        return plain(value.tolist(), depth + 1)
    raise TypeError(f"the handler's answer holds a {type(value).__name__}, which is no JSON value")


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(plain(key))
