"""The frames of one connection: cut from bytes, checked and dealt out; those about the connection are obeyed here.

Source: RFC 9113, sections 3.4 to 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from server.api.http2 import frames
from server.api.http2.floods import MOST_IDLE_FRAMES, MOST_RESETS, MOST_UPDATES, FrameRate
from server.api.http2.frames import ACK, ConnectionFailure, ErrorCode, StreamFailure
from server.api.http2.outbox import ENOUGH, Outbox, Stream

#: asks whether the client has read that the server goes
_LEAVING = b"leaving."


@dataclass(frozen=True)
class Http2Limits:
    """What one connection may take."""

    max_streams: int = 1024
    max_head: int = 16_384  #: bytes of a header block, and of what it unfolds to
    stream_window: int = 2**20  #: bytes that may come on a stream before they are used
    window: int = 2**22  #: the same of the connection; those are used at once


class FrameReader:
    """After a failure it reads nothing more: what is in `out` is the end. Frames of streams are another's (`_data`)."""

    def __init__(self, limits: Http2Limits, clock: Callable[[], float]) -> None:
        """`clock` tells seconds."""
        self._limits = limits
        self._clock = clock
        self.streams: dict[int, Stream] = {}
        self.out = Outbox()
        self.failed = False
        self.stalled = False  #: there are frames that wait for what is in `out` to be written
        self.greeted = False  #: the client's preface and settings have come
        self.last = 0  #: the client's youngest stream
        self._last_served: int | None = None  #: streams above are not looked at: the server goes
        self._in = b""
        self._preface = False
        self._within = 0  #: the stream whose header block is still coming
        self._window = frames.DEFAULT_WINDOW  #: bytes that may still come
        self._idle = FrameRate("frames that carry nothing", MOST_IDLE_FRAMES, clock)
        self._resets = FrameRate("streams that were reset", MOST_RESETS, clock)
        self._updates = FrameRate("WINDOW_UPDATE frames", MOST_UPDATES, clock)
        self._readers = (
            *(self._data, self._headers, self._priority, self._rst_stream, self._settings),
            *(self._push_promise, self._ping, self._goaway, self._window_update, self._continuation),
        )
        self._greet()

    def _greet(self) -> None:
        limits = self._limits
        self.out.put(
            frames.settings(
                {
                    frames.MAX_CONCURRENT_STREAMS: limits.max_streams,
                    frames.INITIAL_WINDOW_SIZE: limits.stream_window,
                    frames.MAX_HEADER_LIST_SIZE: limits.max_head,
                }
            )
        )
        self._widen()

    def _widen(self) -> None:
        self.out.put(frames.window_update(0, self._limits.window - self._window))
        self._window = self._limits.window

    # what comes in

    def receive(self, data: bytes) -> None:
        """Bytes of the client's."""
        if self._in:
            data = self._in + data
        self._go_through(data)

    def go_on(self) -> None:
        """Read what has come and was left, as `out` was full."""
        self._go_through(self._in)

    def _go_through(self, data: bytes) -> None:
        if self.failed:
            return
        self.stalled = False
        try:
            at = self._read(data)
        except ConnectionFailure as failure:
            self.fail(failure)
        else:
            self._in = data[at:] if at < len(data) else b""

    def _read(self, data: bytes) -> int:
        """Read whole frames; where they end."""
        at, end = 0, len(data)
        if not self._preface:
            if data[: len(frames.PREFACE)] != frames.PREFACE[:end]:
                raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "this is a port of gRPC, and that no HTTP/2")
            if end < len(frames.PREFACE):
                return 0
            self._preface, at = True, len(frames.PREFACE)
        while end - at >= frames.HEAD_SIZE and not self.failed:
            high, low, kind, flags, number = frames.read_head(data, at)
            length = high << 8 | low
            if length > frames.SMALLEST_MAX_FRAME:
                raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            stop = at + frames.HEAD_SIZE + length
            if stop > end:
                break
            if self.out.size >= ENOUGH:
                self.stalled = True
                break
            if self._within or not self.greeted:
                self._check_order(kind, flags, number & frames.LAST_STREAM)
            try:
                if kind < len(self._readers):
                    self._readers[kind](flags, number & frames.LAST_STREAM, data[at + frames.HEAD_SIZE : stop])
                else:
                    self._idle.count()  # of a kind that nobody knows yet: it is ignored
            except StreamFailure as failure:
                self._reset(failure)
            at = stop
        return at

    def _check_order(self, kind: int, flags: int, number: int) -> None:
        if self._within and (kind != frames.CONTINUATION or number != self._within):
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "another frame within a header block")
        if not self.greeted and (kind != frames.SETTINGS or flags & ACK):
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "the client's settings come first")

    # frames of streams

    def _headers(self, flags: int, number: int, payload: bytes) -> None:
        raise NotImplementedError

    def _continuation(self, flags: int, number: int, payload: bytes) -> None:
        raise NotImplementedError

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        raise NotImplementedError

    def _drop(self, stream: Stream, by_client: bool = False) -> None:
        """The client, or a failure, has reset a stream."""
        raise NotImplementedError

    # the rest

    def _priority(self, flags: int, number: int, payload: bytes) -> None:
        self._idle.count()
        self._need_stream(number)
        if len(payload) != 5:
            raise StreamFailure(number, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY has five bytes")
        if int.from_bytes(payload[:4], "big") & frames.LAST_STREAM == number:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "a stream depends on itself")

    def _rst_stream(self, flags: int, number: int, payload: bytes) -> None:
        self._need_stream(number)
        self._need_size(payload, 4)
        self._need_begun(number)
        if (stream := self.streams.get(number)) is not None:
            self._resets.count()
            self._drop(stream, by_client=True)
        else:
            self._idle.count()

    def _settings(self, flags: int, number: int, payload: bytes) -> None:
        self._idle.count()
        self._need_connection(number)
        if flags & ACK:
            self._need_size(payload, 0)
            return
        told = dict(frames.read_settings(payload))  # of thousands of one kind the last counts: each costs all streams
        if (window := told.get(frames.INITIAL_WINDOW_SIZE)) is not None:
            self.out.resize(window, list(self.streams.values()))
        if (largest := told.get(frames.MAX_FRAME_SIZE)) is not None:
            self.out.take_frames(largest)
        self.greeted = True
        self.out.put(frames.SETTINGS_ACK)

    def _push_promise(self, flags: int, number: int, payload: bytes) -> None:
        raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "clients promise nothing")

    def _ping(self, flags: int, number: int, payload: bytes) -> None:
        self._idle.count()
        self._need_connection(number)
        self._need_size(payload, 8)
        if not flags & ACK:
            self.out.put(frames.frame(frames.PING, ACK, 0, payload))
        elif payload == _LEAVING and self._last_served == frames.LAST_STREAM:
            self.leave_now()

    def _goaway(self, flags: int, number: int, payload: bytes) -> None:
        self._idle.count()
        self._need_connection(number)  # what it has asked for is answered still
        if len(payload) < 8:
            raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is too short")

    def _window_update(self, flags: int, number: int, payload: bytes) -> None:
        self._updates.count()
        self._need_size(payload, 4)
        size = int.from_bytes(payload, "big") & frames.LAST_STREAM
        if not number:
            self.out.widen(None, size)
            return
        self._need_begun(number)
        if (stream := self.streams.get(number)) is not None:
            self.out.widen(stream, size)

    def _need_stream(self, number: int) -> None:
        if not number:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "a frame of a stream's on the connection")

    def _need_connection(self, number: int) -> None:
        if number:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "a frame of the connection's on a stream")

    def _need_begun(self, number: int) -> None:
        if (number > self.last or not number & 1) and self._last_served is None:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, f"a frame on stream {number}, which nobody has begun")

    def _need_size(self, payload: bytes, size: int) -> None:
        if len(payload) != size:
            raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, f"a payload of {len(payload)} bytes, not {size}")

    # its end

    def _reset(self, failure: StreamFailure) -> None:
        self._resets.count()
        self.out.put(frames.rst_stream(failure.stream, failure.code))
        if (stream := self.streams.get(failure.stream)) is not None:
            self._drop(stream)

    def fail(self, failure: ConnectionFailure) -> None:
        """Nothing is read or answered any more."""
        self.failed = True
        for stream in list(self.streams.values()):
            self._drop(stream)
        self.out.put(frames.goaway(self.last, failure.code, str(failure)))

    def leave(self) -> bool:
        """Ask the client to begin nothing more: False where it was asked before. What it begins meanwhile is served."""
        if self._last_served is not None or self.failed:
            return False
        self._last_served = frames.LAST_STREAM
        self.out.put(frames.goaway(frames.LAST_STREAM, ErrorCode.NO_ERROR))
        self.out.put(frames.frame(frames.PING, 0, 0, _LEAVING))
        return True

    def leave_now(self) -> None:
        """The streams that have come are the last: the client sends others elsewhere, as none of them is looked at."""
        if self._last_served in (None, frames.LAST_STREAM) and not self.failed:
            self._last_served = self.last
            self.out.put(frames.goaway(self.last, ErrorCode.NO_ERROR))

    @property
    def within_head(self) -> bool:
        """A header block has begun, and is not whole."""
        return self._within != 0

    @property
    def left(self) -> bool:
        """Nothing comes after what is in `out`."""
        return self.failed or (self._last_served not in (None, frames.LAST_STREAM) and not self.streams)
