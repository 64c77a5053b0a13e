"""Messages between the server and its child processes: JSON objects, each after its length. Never pickles."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

MAX_BYTES = 4 * 2**20
_LENGTH = struct.Struct("!I")


def pack(message: Mapping[str, Any]) -> bytes:
    """The message as it travels.

    Raises:
        TypeError, ValueError: the message is not JSON, or is too long.
    """
    body = json.dumps(message).encode("ascii")  # escapes keep the odd bytes of file names
    if len(body) > MAX_BYTES:
        raise ValueError(f"a message of {len(body)} bytes is longer than {MAX_BYTES}")
    return _LENGTH.pack(len(body)) + body


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """The next message, or None when the other side has hung up.

    Raises:
        ValueError: what came is no message.
        OSError: the connection broke, or its timeout passed.
    """
    head = _exactly(connection, _LENGTH.size)
    if not head:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_BYTES:
        raise ValueError(f"a message of {length} bytes is longer than {MAX_BYTES}")
    message = json.loads(_exactly(connection, length))
    if not isinstance(message, dict):
        raise ValueError("a message must be a JSON object")  # noqa: TRY004  (one error for all that is malformed)
    return message


def _exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes; b"" at the end of the stream."""
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            if parts:
                raise ValueError("a message was cut off")
            break
        parts += part
    return bytes(parts)
