"""What a worker tells of its model, checked field by field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgpack
import pytest

from adapters.base import LoadError, Parameter, Signature, TensorSpec
from server.workers.messages import Hello, signature_of, signature_to_fields

SIGNATURE = Signature(
    (TensorSpec("a", "FP32", (-1, 3), nullable=True), TensorSpec("b", "BYTES", (-1,), optional=True, binary=True)),
    (TensorSpec("y", "BYTES", (-1,), json=True, labels=("cat", "dog")),),
    columns=("p", "q", "r"),
    keyed=True,
    parameters=(Parameter("method", str, ("x", "y"), "which"), Parameter("n", int), Parameter("t", float, (0.5,))),
    explanations=(TensorSpec("contributions", "FP64", (-1, 4)),),
)
HELLO = Hello(SIGNATURE, "odd", True, 1.5, 1000, {}, "no", 2000)


def travelled(fields: Any) -> Any:
    return msgpack.unpackb(msgpack.packb(fields))


def test_a_signature_survives_the_way() -> None:
    assert signature_of(travelled(signature_to_fields(SIGNATURE))) == SIGNATURE
    others: list[dict[str, Any]] = [{"whole": True}, {"whole": True, "streams": True}, {"task": "score"}]
    others.append({"labels": ("no", "yes")})
    for signature in (Signature((), (), **fields) for fields in others):
        assert signature_of(travelled(signature_to_fields(signature))) == signature


def test_a_hello_survives_the_way() -> None:
    assert Hello.of(travelled(HELLO.to_fields()), {}) == HELLO
    assert Hello.of(travelled(replace(HELLO, example_error="").to_fields()), {}).example_error == ""


def changed(fields: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The fields with one value replaced (or removed: None)."""
    if not path:
        return value
    copy = list(fields) if isinstance(fields, list) else dict(fields)
    copy[path[0]] = changed(copy[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("platform",), 3),
        (("batchable",), "yes"),
        (("seconds",), None),
        (("memory_bytes",), 1.5),
        (("signature",), []),
        (("signature", "task"), 1),
        (("signature", "labels"), [1]),
        (("signature", "labels"), "no"),
        (("signature", "inputs"), {}),
        (("signature", "inputs", 0), None),
        (("signature", "inputs", 0), {"shape": []}),
        (("signature", "inputs", 0, "name"), 7),
        (("signature", "inputs", 0, "datatype"), "FP128"),
        (("signature", "inputs", 0, "shape"), [-2]),
        (("signature", "inputs", 0, "shape"), ["1"]),
        (("signature", "inputs", 0, "nullable"), 1),
        (("signature", "columns"), [1]),
        (("signature", "whole"), "no"),
        (("signature", "streams"), 1),
        (("signature", "parameters", 0, "kind"), "eval"),
        (("signature", "parameters", 0, "choices"), 3),
        (("signature", "parameters", 0, "name"), None),
    ],
)
def test_a_malformed_hello_is_a_reason(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(LoadError, match="the worker sent"):
        Hello.of(changed(travelled(HELLO.to_fields()), path, value), {})


def test_fields_of_a_newer_or_older_side_do_no_harm() -> None:
    fields = travelled(HELLO.to_fields())
    fields["signature"]["inputs"][0]["invented"] = 1
    fields["signature"]["invented"] = 1
    del fields["signature"]["inputs"][0]["finite"]
    assert Hello.of(fields, {}) == HELLO
