"""Bodies that are JSON objects: read by orjson, and where that fails, what to say of them.

JSON has no NaN and no infinities, which Python's `json.dumps` writes and TensorFlow Serving takes. They are taken where
the model takes such numbers and null cannot stand for them.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from adapters.base import Signature
from adapters.formats import json_text
from server.codec.error_text import quoted, shortened
from server.errors import InvalidInput, TooLarge

_INFINITIES = frozenset({"Infinity", "-Infinity"})
_NOT_FINITE = re.compile(rb"NaN|Infinity")
#: as printf, NumPy and YAML write them, which Python's parser does not take either
_OTHER_SPELLING = re.compile(r"[+-]?(nan|inf(inity)?)\b", re.IGNORECASE)
_FORM = re.compile(rb"[\w.%+-]+=")
_GZIP = b"\x1f\x8b"
_AS_JSON = "with Content-Type: application/json"
#: bytes of a body whose parts are counted before it is read
_LARGE = 4 * 2**20
#: how many lists and objects it may hold, how many values and keys, and how many texts, as which keys count: rows and
#: numbers of a very large request. A text takes a hundred bytes.
_MOST_LISTS, _MOST_VALUES, _MOST_TEXTS = 3_000_000, 10_000_000, 5_000_000
_SMALL = 2**20  #: bytes of settings, and of what is asked of lists
_SHOWN = 20  #: bytes of what a body begins with
_DEEPEST = 8  #: levels of a place that a message names


@dataclass(frozen=True)
class _Bare:
    """Stands for a number that JSON does not have, until it is known whether it is taken."""

    name: str


def not_finite(signature: Signature) -> Collection[str]:
    """The numbers beyond JSON that a body for such a model may hold: "NaN", "Infinity", "-Infinity"."""
    if signature.tf_serving:
        return _INFINITIES | {"NaN"}
    floats = (spec for spec in signature.inputs if spec.dtype.kind == "f")
    return _INFINITIES if any(not spec.finite for spec in floats) else ()


def check_size(raw: bytes | str) -> None:
    """Count the parts of a large body, before anything makes eighty bytes of a number or a text, or two hundred of a
    list.

    Raises:
        TooLarge: a few bytes each, they would come to thirty times the body.
    """
    if len(raw) > _LARGE:
        try:
            json_text.check_parts(raw, _MOST_LISTS, _MOST_VALUES, _MOST_TEXTS)
        except json_text.TooMuchJson as error:
            raise TooLarge(
                f"the body is too much to read: {error}; send fewer rows a request, or raw tensors"
            ) from error


def parse_small_object(raw: bytes, expected: str) -> dict[str, Any]:
    """`parse_object` of what is never large, and read on the event loop.

    Raises:
        InvalidInput
        TooLarge
    """
    if len(raw) > _SMALL:
        raise TooLarge(f"the body holds {len(raw)} bytes: {expected} takes {_SMALL} at most")
    return parse_object(raw, expected)


def parse_object(raw: bytes, expected: str, taken: Collection[str] = ()) -> dict[str, Any]:
    """The JSON object in a body.

    `expected` names the keys that it should hold, for messages; `taken` are the numbers that it may hold though JSON
    has none of them.

    Raises:
        InvalidInput: it is none; the message says what it is instead, or where the first fault is.
        TooLarge: it would take far more memory than its length.
    """
    check_size(raw)
    if not raw.strip():
        raise InvalidInput(f"the body is empty: send a JSON object with {expected}")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        body = _nearly_json(raw, taken)
        if body is None:
            raise InvalidInput(_not_json(raw, expected, error)) from error
    if not isinstance(body, dict):
        raise InvalidInput(f"the body must be a JSON object with {expected}")
    return body


def _nearly_json(raw: bytes, taken: Collection[str]) -> Any:
    """A body that is JSON behind a byte order mark, which editors and .NET write, or but for numbers beyond it.

    Raises:
        InvalidInput: it holds such a number, which is not taken.
    """
    if raw.startswith(codecs.BOM_UTF8):
        raw = raw[len(codecs.BOM_UTF8) :]
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass  # as without the mark
    return _python_json(raw, taken)


def _python_json(raw: bytes, taken: Collection[str]) -> Any:
    """A body that is JSON but for numbers beyond it; None for any other.

    Raises:
        InvalidInput: it holds such a number, which is not taken.
    """
    if not _NOT_FINITE.search(raw):
        return None

    def constant(name: str) -> Any:
        return float(name) if name in taken else _Bare(name)

    try:
        body = json.loads(raw, parse_constant=constant, parse_float=_finite)
        found = _first_bare(body)
        if found is None:
            orjson.dumps(body)  # Python's parser takes texts that are not Unicode, and numbers of any length
    except (ValueError, TypeError, RecursionError):
        return None
    if found is not None:
        where, name = found
        raise InvalidInput(f"{where or 'the body'} is {name}, which is not JSON: {_way_out(name)}")
    return body


def _way_out(name: str) -> str:
    return "send null for a missing value" if "nan" in name.lower() else "the model takes finite numbers"


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"{text} is too large")
    return value


def _first_bare(body: Any) -> tuple[str, str] | None:
    """Where the first of them is, and its name.

    Of the places on the way there only keys and numbers are held: written out for each element of a list, a key of a
    megabyte would take a megabyte an element.
    """
    way: list[str | int] = []
    waiting: list[Iterator[tuple[Any, Any]]] = [iter([("", body)])]
    while waiting:
        key, value = next(waiting[-1], (None, None))
        if key is None:
            waiting.pop()
            del way[-1:]
        elif isinstance(value, _Bare):
            return _place([*way, key][1:]), value.name
        elif isinstance(value, dict | list):
            way.append(key)
            waiting.append(iter(value.items() if isinstance(value, dict) else enumerate(value)))
    return None


def _place(way: Sequence[str | int]) -> str:
    """A value of the body, as messages name it: `inputs[0].data[3]`, cut where it is long."""
    shown = "".join(f"[{each}]" if isinstance(each, int) else f".{shortened(each)}" for each in way[:_DEEPEST])
    return shown.removeprefix(".") + ("…" if len(way) > _DEEPEST else "")


def _not_json(raw: bytes, expected: str, error: orjson.JSONDecodeError) -> str:
    head = raw[:1000].lstrip()
    if raw.startswith(_GZIP):
        return (
            "the body is gzip where its headers say that it is JSON: send JSON as it is, or compressed once and with "
            "Content-Encoding: gzip"
        )
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in raw[:4]:
        return f"the body is not JSON in UTF-8, but UTF-16 or UTF-32: send UTF-8, or {_AS_JSON}; charset=utf-16"
    if head.startswith(b"--") and b"content-disposition" in head.lower():
        return f"the body is not JSON but a multipart form: send a JSON object with {expected}, {_AS_JSON}"
    if _FORM.match(head):
        return f"the body is not JSON but a form: send a JSON object with {expected}, {_AS_JSON}"
    if head[:1] not in (b"{", b"["):
        begins = quoted(head[:_SHOWN].decode("utf-8", "replace"))
        return f"the body is not JSON, it begins with {begins}: send a JSON object with {expected}, {_AS_JSON}"
    at = max(error.pos - 1, 0)  # behind a sign, where there is one
    if found := _OTHER_SPELLING.match(error.doc, at) or _OTHER_SPELLING.match(error.doc, error.pos):
        return f"the body is not JSON: it holds {found[0]} at character {found.start()}: {_way_out(found[0])}"
    return f"the body is not JSON: {error}"
