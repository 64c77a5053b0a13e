"""One stream, and what is on its way to the client: within both windows, in frames as large as the client takes."""

from __future__ import annotations

from collections import deque
from typing import Any

from server.api.http2.frames import (
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    LARGEST_WINDOW,
    SMALLEST_MAX_FRAME,
    ConnectionFailure,
    ErrorCode,
    StreamFailure,
    frame_front,
    frame_head,
)

#: bytes of a frame of ours, whatever larger ones the client takes
_LARGEST_FRAME = 256 * 1024
#: bytes that are handed to the socket at once; what is left is written when those have gone
ENOUGH = 256 * 1024


class Stream:
    """A request, and its answer."""

    __slots__ = (
        *("call", "head", "id", "left", "moved_at", "pending", "receive_window", "remote_closed"),
        *("send_window", "trailers", "unacked", "unsent"),
    )

    def __init__(self, number: int, head: Any, send_window: int, receive_window: int, left: int | None) -> None:
        """`left`: bytes of the body, where its head says so."""
        self.id = number
        self.head = head
        self.call: Any = None  #: whatever the application keeps here
        self.send_window = send_window
        self.receive_window = receive_window
        self.unacked = 0  #: bytes that came, and that the client may not send again yet
        self.left = left
        self.remote_closed = False  #: the request is whole
        self.pending: deque[memoryview] | None = None  #: of the answer; most never wait
        self.unsent = 0  #: bytes of `pending`
        self.trailers: bytes | None = None  #: the header block that ends the answer after `pending`
        self.moved_at = 0.0  #: when something of `pending` was last sent


class Outbox:
    """What one connection sends."""

    __slots__ = ("_blocked", "frames", "initial_window", "max_frame", "size", "unsent", "window")

    def __init__(self) -> None:
        self.frames: list[bytes | memoryview] = []
        self.size = 0  #: bytes of `frames`
        self.window = DEFAULT_WINDOW
        self.initial_window = DEFAULT_WINDOW
        self.max_frame = SMALLEST_MAX_FRAME
        self.unsent = 0  #: bytes of answers that are in no frame yet
        self._blocked: deque[Stream] = deque()  #: those with something pending, who goes next first

    def put(self, data: bytes) -> None:
        """Frames that no window holds back."""
        self.frames.append(data)
        self.size += len(data)

    def headers(self, stream: int, block: bytes, flags: int = 0) -> None:
        """A header block of ours, which always fits one frame."""
        self.put(frame_head(len(block), HEADERS, END_HEADERS | flags, stream) + block)

    def end(self, stream: int, trailers: bytes) -> None:
        """The end of an answer: a header block, or DATA of nothing where that is b""."""
        if trailers:
            self.headers(stream, trailers, END_STREAM)
        else:
            self.put(frame_head(0, DATA, END_STREAM, stream))

    def at_once(self, stream: Stream, head: bytes, body: bytes, trailers: bytes) -> bool:
        """A whole answer in one piece; False where windows, a frame's size, or what waits do not let it through."""
        length = len(body)
        if length > self.window or length > stream.send_window or length > self.max_frame or self.size >= ENOUGH:
            return False
        number = stream.id.to_bytes(4, "big")
        self.window -= length
        answer = b"".join(
            (
                *(frame_front(len(head), HEADERS, END_HEADERS), number, head),
                *(frame_front(length, DATA, 0), number, body),
                *(frame_front(len(trailers), HEADERS, END_HEADERS | END_STREAM), number, trailers),
            )
        )
        self.frames.append(answer)
        self.size += len(answer)
        return True

    def data(self, stream: Stream, data: bytes, now: float) -> None:
        """A part of an answer, after what is pending of it."""
        if not data:
            return
        if not stream.pending:
            self._blocked.append(stream)
            stream.moved_at = now
            stream.pending = deque()
        stream.pending.append(memoryview(data))
        stream.unsent += len(data)
        self.unsent += len(data)

    def drop(self, stream: Stream) -> None:
        """Nothing more of the stream is sent."""
        if stream.pending:
            self._blocked.remove(stream)
            stream.pending = None
            self.unsent -= stream.unsent
            stream.unsent = 0
        stream.trailers = None

    def pump(self, now: float) -> list[Stream]:
        """Put as much of what is pending into frames as may go; the streams that have nothing pending any more."""
        done = []
        for _ in range(len(self._blocked)):
            if self.window <= 0 or self.size >= ENOUGH:
                break
            stream = self._blocked.popleft()
            if stream.send_window > 0:
                self._send(stream)
                stream.moved_at = now
            if stream.pending:
                self._blocked.append(stream)
                continue
            done.append(stream)
            if stream.trailers is not None:
                self.end(stream.id, stream.trailers)
        return done

    @property
    def has_room(self) -> bool:
        """Whether another `pump` may get something through."""
        return bool(self._blocked) and self.window > 0 and any(each.send_window > 0 for each in self._blocked)

    def _send(self, stream: Stream) -> None:
        """Frames of one stream until it must wait, or others should have their turn."""
        left = ENOUGH // 4
        while stream.pending and left > 0:
            part = stream.pending[0]
            size = min(len(part), self.window, stream.send_window, self.max_frame)
            if size <= 0:
                return
            self.frames.append(frame_head(size, DATA, 0, stream.id))
            self.frames.append(part[:size])
            self.size += size + 9
            left -= size
            self.window -= size
            self.unsent -= size
            stream.send_window -= size
            stream.unsent -= size
            if size == len(part):
                stream.pending.popleft()
            else:
                stream.pending[0] = part[size:]

    def widen(self, stream: Stream | None, size: int) -> None:
        """The client takes so many bytes more on a stream; None: on the connection.

        Raises:
            ConnectionFailure, StreamFailure: that is none, or more than a window may be.
        """
        window = self.window if stream is None else stream.send_window
        code = ErrorCode.PROTOCOL_ERROR if not size else ErrorCode.FLOW_CONTROL_ERROR
        if not size or window + size > LARGEST_WINDOW:
            why = "a window grows by nothing" if not size else "a window grows beyond 2^31 - 1"
            raise ConnectionFailure(code, why) if stream is None else StreamFailure(stream.id, code, why)
        if stream is None:
            self.window += size
        else:
            stream.send_window += size

    def resize(self, size: int, streams: list[Stream]) -> None:
        """The client's INITIAL_WINDOW_SIZE has changed, for all streams.

        Raises:
            ConnectionFailure: a window would be more than it may.
        """
        change, self.initial_window = size - self.initial_window, size
        for stream in streams:
            stream.send_window += change
            if stream.send_window > LARGEST_WINDOW:
                raise ConnectionFailure(ErrorCode.FLOW_CONTROL_ERROR, "a window grows beyond 2^31 - 1")

    def take_frames(self, largest: int) -> None:
        """The client's MAX_FRAME_SIZE."""
        self.max_frame = min(largest, _LARGEST_FRAME)
