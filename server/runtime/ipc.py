"""Messages between the server and its child processes: a small msgpack head, then the arrays' bytes as they are.

    | head bytes (4) | body bytes (8) | head: fields, and each tensor's name, dtype, shape, size | body: the tensors |

Numeric arrays are neither copied nor converted; arrays of objects (texts, bytes, JSON values, None) are a msgpack list.
Nothing is ever unpickled, every size is bounded, and what came is checked as if a stranger had sent it: a worker runs
strangers' code. Both ends are processes of one machine, so numbers keep its byte order.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgpack
import numpy as np

from adapters.base import Array, Tensors
from server.runtime.receiving import ReceiveLimits

#: of a message, whoever sends it: a head is fields and shapes; a body is tensors
WIDEST = ReceiveLimits()
#: parts below this are joined: one system call costs more than copying them
_SMALL = 64 * 1024
_CHUNK = 64 * 1024
FOREVER = 1e6  #: seconds; more than any call may take
_ALIGN = 64
_PREFIX = struct.Struct("<IQ")
_RAW_KINDS = "biufcmMSU"  #: of dtypes whose bytes say it all
_ARRAY, _SCALAR = 1, 2  #: msgpack extension types, inside arrays of objects

Part: TypeAlias = bytes | bytearray | memoryview


class IpcError(ValueError):
    """What came is no message, or what should go cannot be one."""


class Message(NamedTuple):
    """Fields and tensors."""

    fields: dict[str, Any]
    tensors: Tensors


def pack(fields: Mapping[str, Any], tensors: Tensors | None = None, limits: ReceiveLimits = WIDEST) -> list[Part]:
    """The message as it travels: parts to be sent one after the other. `limits` are those of who receives it.

    Raises:
        IpcError: a value cannot travel, or the message is too long.
    """
    try:
        buffers = [_bytes_of(array) for array in (tensors or {}).values()]
        layout = [
            (name, array.dtype.str, array.shape, len(buffer))
            for (name, array), buffer in zip((tensors or {}).items(), buffers, strict=True)
        ]
        head = _pack({**fields, "": layout})
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise IpcError(f"the values cannot be passed between processes: {error}") from error
    body = sum(_aligned(len(buffer)) for buffer in buffers)
    _check_sizes(len(head), body, limits)
    return _joined(head, body, buffers)


class Connection:
    """One end of a socket pair. It waits for the other side, however long; one thread at a time."""

    def __init__(self, end: socket.socket, limits: ReceiveLimits = WIDEST) -> None:
        """`limits` are of what is received."""
        self.socket = end
        self._limits = limits
        self.wait_at_most(FOREVER)
        self._rest = bytearray()  #: what came behind the last message

    @property
    def pending(self) -> bool:
        """A message, or the beginning of one, was read already."""
        return bool(self._rest)

    def wait_at_most(self, seconds: float) -> None:
        """From now on. (Without any limit, a socket that an event loop has made non-blocking would not wait at all.)"""
        self.socket.settimeout(seconds)

    def send(self, parts: Sequence[Part]) -> None:
        """Send a packed message.

        Raises:
            OSError: the connection broke, or its timeout passed.
        """
        for part in parts:
            self.socket.sendall(part)

    def fill(self) -> bool:
        """Take in what has come, without waiting; whether a whole message is there for `receive`."""
        try:
            self._rest += os.read(self.socket.fileno(), _CHUNK)
            if len(self._rest) < _PREFIX.size:
                return False
            head, body = sizes(self._rest, self._limits)
        except (OSError, IpcError):  # `receive` will tell
            return False
        return len(self._rest) >= _PREFIX.size + _padding(_PREFIX.size + head, body) + head + body

    def receive(self) -> Message | None:
        """The next message, or None when the other side has hung up.

        Raises:
            IpcError: what came is no message.
            OSError: the connection broke, or its timeout passed.
        """
        data = self._rest
        while len(data) < _PREFIX.size:
            part = self.socket.recv(_CHUNK)
            if not part:
                if data:
                    raise IpcError("a message was cut off")
                return None
            data += part
        head, body = sizes(data, self._limits)
        size = _PREFIX.size + _padding(_PREFIX.size + head, body) + head + body
        if len(data) == size:
            self._rest = bytearray()
            return unpack(memoryview(data), head, self._limits)
        if len(data) > size:
            self._rest = data[size:]
            return unpack(memoryview(data)[:size], head, self._limits)
        self._rest = bytearray()
        return unpack(self._receive_rest(data, size), head, self._limits)

    def _receive_rest(self, begun: bytearray, size: int) -> memoryview:
        """A message of which a part has come. (A bytearray would be filled with zeros first.)"""
        message = self._limits.buffer(size).data
        received = len(begun)
        message[:received] = begun
        while received < size:
            count = self.socket.recv_into(message[received:])
            if not count:
                raise IpcError("a message was cut off")
            received += count
        return message


async def read(reader: asyncio.StreamReader, limits: ReceiveLimits = WIDEST) -> Message | None:
    """The next message of a stream, or None when the other side has hung up.

    Raises:
        IpcError: what came is no message.
        OSError: the connection broke.
    """
    try:
        prefix = await reader.readexactly(_PREFIX.size)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise IpcError("a message was cut off") from error
        return None
    head, body = sizes(prefix, limits)
    size = _PREFIX.size + _padding(_PREFIX.size + head, body) + head + body
    buffer = await asyncio.to_thread(limits.buffer, size) if limits.waits(size) else limits.buffer(size)
    message, received = buffer.data, _PREFIX.size
    message[:received] = prefix
    while received < size:  # `readexactly` would gather all of it in the reader first, and copy it twice
        part = await reader.read(min(size - received, _CHUNK))
        if not part:
            raise IpcError("a message was cut off")
        message[received : received + len(part)] = part
        received += len(part)
    return unpack(message, head, limits)


def sizes(data: Part, limits: ReceiveLimits = WIDEST) -> tuple[int, int]:
    """The lengths of the head and the body that a message begins with."""
    head, body = _PREFIX.unpack_from(data)
    _check_sizes(head, body, limits)
    return head, body


def unpack(message: memoryview, head: int, limits: ReceiveLimits = WIDEST) -> Message:
    """A whole message, whose head is so many bytes long. The arrays are views of it.

    Raises:
        IpcError
    """
    at = _PREFIX.size + head
    try:
        fields = _unpack(message[_PREFIX.size : at])
        layout = fields.pop("")
        at += _padding(at, len(message) - at)
        tensors = {}
        for name, dtype, shape, size in layout:
            tensors[str(name)] = _array_of(message[at : at + size], dtype, shape, limits)
            at += _aligned(size)
    except IpcError:
        raise
    except Exception as error:  # whatever msgpack and numpy find wrong with it
        raise IpcError(f"a malformed message: {str(error) or type(error).__name__}") from error
    return Message(fields, tensors)


def _check_sizes(head: int, body: int, limits: ReceiveLimits) -> None:
    for what, size, limit in (("fields", head, limits.head), ("tensors", body, limits.body)):
        if size > limit:
            hint = " (--max_answer_bytes)" if what == "tensors" and limits.body != WIDEST.body else ""
            raise IpcError(f"{what} of {size} bytes are too much to pass between processes: the limit is {limit}{hint}")


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _padding(at: int, body: int) -> int:
    """Between the head, which ends at `at`, and a body."""
    return _aligned(at) - at if body else 0


def _joined(head: bytes, body: int, buffers: Sequence[Part]) -> list[Part]:
    """The head and the body, each tensor padded; small ones in one part, large ones as they are."""
    parts: list[Part] = []
    small = bytearray(_PREFIX.pack(len(head), body) + head)
    small += bytes(_padding(len(small), body))
    for buffer in buffers:
        if len(buffer) > _SMALL:
            parts += (small, buffer)
            small = bytearray()
        else:
            small += buffer
        small += bytes(_aligned(len(buffer)) - len(buffer))
    return [*parts, small] if small else parts


def _bytes_of(array: Array) -> Part:
    if array.dtype.kind == "O":
        return _pack(array.reshape(-1).tolist())
    if array.dtype.kind not in _RAW_KINDS or not array.dtype.itemsize:
        raise IpcError(f"an array of {array.dtype} cannot be passed between processes")
    if not array.size:
        return b""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _array_of(buffer: memoryview, dtype: str, shape: Sequence[int], limits: ReceiveLimits = WIDEST) -> Array:
    kind = np.dtype(dtype)
    count = math.prod(shape)
    if any(type(size) is not int or size < 0 for size in shape):
        raise IpcError(f"the shape {shape} is none")
    if kind.kind == "O":
        if not limits.fits(buffer, count):
            raise IpcError(f"objects of {len(buffer)} bytes take more than {limits.unfolded} once they are unpacked")
        values = _unpack(buffer)
        if type(values) is not list or len(values) != count:
            raise IpcError("an array of objects is not as long as its shape says")
        return np.fromiter(values, np.object_, count).reshape(shape)
    if kind.kind not in _RAW_KINDS or not kind.itemsize or kind.itemsize * count != len(buffer):
        raise IpcError(f"{len(buffer)} bytes are no array of {dtype} and shape {shape}")
    return np.frombuffer(buffer, kind, count).reshape(shape) if buffer else np.empty(shape, kind)


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, default=_foreign, unicode_errors="surrogatepass")
    return packed


def _unpack(buffer: Part) -> Any:
    return msgpack.unpackb(buffer, strict_map_key=False, unicode_errors="surrogatepass", ext_hook=_extension)


def _foreign(value: Any) -> Any:
    """What msgpack does not know inside arrays of objects: numpy's values as such, all else as text (as JSON does)."""
    if isinstance(value, np.ndarray):
        return msgpack.ExtType(_ARRAY, _pack((value.dtype.str, value.shape, bytes(_bytes_of(value)))))
    if isinstance(value, np.generic) and value.dtype.kind in _RAW_KINDS:
        return msgpack.ExtType(_SCALAR, _pack((value.dtype.str, value.tobytes())))
    return str(value)


def _extension(code: int, data: bytes) -> Any:
    if code == _ARRAY:
        dtype, shape, buffer = _unpack(data)
        return _array_of(memoryview(bytearray(buffer)), dtype, shape)
    if code == _SCALAR:
        dtype, buffer = _unpack(data)
        return _array_of(memoryview(buffer), dtype, ()).reshape(())[()]
    raise IpcError(f"an extension of type {code} is unknown")
