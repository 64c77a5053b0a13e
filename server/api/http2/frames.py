"""HTTP/2's frames as bytes: nine bytes of head, and a payload.

    +-----------------------------------------------+
    | length (24) | type (8) | flags (8) | stream (1 + 31) |  payload ...
    +-----------------------------------------------+

Source: RFC 9113, sections 4.1, 6 and 7.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from functools import lru_cache

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
HAS_PRIORITY = 0x20

ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(2, 7)

#: bytes of a frame's head, and those of a payload that everybody takes
HEAD_SIZE, SMALLEST_MAX_FRAME = 9, 16_384
LARGEST_MAX_FRAME = 2**24 - 1
LARGEST_WINDOW = LAST_STREAM = 2**31 - 1
DEFAULT_WINDOW = 65_535

_HEAD = struct.Struct(">HBBBL")
#: (length >> 8, length & 255, type, flags, stream) of the frame that begins at an offset
read_head = _HEAD.unpack_from
_SETTING = struct.Struct(">HL")


class ErrorCode(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class ConnectionFailure(Exception):
    """The connection cannot go on: GOAWAY with the code, and the reason as its debug data."""

    def __init__(self, code: ErrorCode, why: str) -> None:
        super().__init__(why)
        self.code = code


class StreamFailure(Exception):
    """A stream cannot go on: RST_STREAM with the code."""

    def __init__(self, stream: int, code: ErrorCode, why: str) -> None:
        super().__init__(why)
        self.stream = stream
        self.code = code


@lru_cache(maxsize=4096)
def frame_front(length: int, kind: int, flags: int) -> bytes:
    """The first five of those nine, which are the same on every stream."""
    return frame_head(length, kind, flags, 0)[:-4]


def frame_head(length: int, kind: int, flags: int, stream: int) -> bytes:
    """The nine bytes before a payload of `length` bytes."""
    return _HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return frame_head(len(payload), kind, flags, stream) + payload


def rst_stream(stream: int, code: ErrorCode) -> bytes:
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def goaway(last: int, code: ErrorCode, why: str = "") -> bytes:
    """No stream above `last` is looked at."""
    return frame(GOAWAY, 0, 0, struct.pack(">LL", last, code) + why.encode())


def window_update(stream: int, size: int) -> bytes:
    """`size` bytes more may come on a stream; 0: on the connection."""
    return frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))


def settings(values: dict[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in values.items()))


SETTINGS_ACK = frame(SETTINGS, ACK, 0)


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """The pairs of a SETTINGS frame, in order, unknown ones included.

    Raises:
        ConnectionFailure: the frame's size or a value is wrong (RFC 9113, 6.5.2).
    """
    if len(payload) % _SETTING.size:
        raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is no whole number of settings")
    pairs = list(_SETTING.iter_unpack(payload))
    for name, value in pairs:
        if name == ENABLE_PUSH and value > 1:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH is {value}")
        if name == INITIAL_WINDOW_SIZE and value > LARGEST_WINDOW:
            raise ConnectionFailure(ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE is {value}")
        if name == MAX_FRAME_SIZE and not SMALLEST_MAX_FRAME <= value <= LARGEST_MAX_FRAME:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE is {value}")
    return pairs


def unpadded(flags: int, payload: bytes) -> bytes:
    """A payload of DATA or HEADERS without its padding.

    Raises:
        ConnectionFailure: there is more padding than payload.
    """
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "a frame has more padding than payload")
    return payload[1 : len(payload) - payload[0]]


def header_fragment(flags: int, stream: int, payload: bytes) -> bytes:
    """What HEADERS holds of a header block: without padding, and the priority that nobody heeds any more.

    Raises:
        ConnectionFailure: it is cut, has too much padding, or the stream depends on itself.
    """
    payload = unpadded(flags, payload)
    if not flags & HAS_PRIORITY:
        return payload
    if len(payload) < 5:
        raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "HEADERS ends within its priority")
    if int.from_bytes(payload[:4], "big") & LAST_STREAM == stream:
        raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")
    return payload[5:]
