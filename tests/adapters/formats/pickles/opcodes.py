"""Pickles written opcode by opcode: of values that a pickler writes, and of acts that no pickler would do."""

from __future__ import annotations

import io
import pickle
from typing import Any

from adapters.formats.pickles.loading import Loading

__all__ = ["called", "filled", "loaded", "value", "whole"]


def value(thing: Any) -> bytes:
    """The opcodes that leave a value on the stack."""
    return pickle.dumps(thing, 3)[2:-1]


def called(maker: bytes, *args: bytes) -> bytes:
    return maker + b"(" + b"".join(args) + b"tR"


def filled(target: bytes, *states: bytes) -> bytes:
    """An object, given a state, and another."""
    return target + b"".join(state + b"b" for state in states)


def whole(opcodes: bytes) -> bytes:
    return b"\x80\x03" + opcodes + b"."


def loaded(opcodes: bytes) -> Any:
    machine = Loading(io.BufferedReader(io.BytesIO(whole(opcodes))))  # type: ignore[arg-type]
    made = machine.load()
    machine.expect_end()
    return made
