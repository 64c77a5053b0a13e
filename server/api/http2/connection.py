"""One HTTP/2 connection of a server, without I/O: bytes in, calls of a `StreamHandler`, and bytes out in an `Outbox`.

    receive --> frames (`frame_reader`) --> header blocks --> StreamHandler.began
                                        --> DATA          --> StreamHandler.received
                                        --> RST_STREAM    --> StreamHandler.cancelled
    begin_answer, send, end, answer     --> Outbox        --> the socket, once a turn of the event loop

Source: RFC 9113, sections 5, 6.1, 6.2, 8.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from server.api.http2 import frames
from server.api.http2.frame_reader import FrameReader, Http2Limits
from server.api.http2.frames import END_HEADERS, END_STREAM, ConnectionFailure, ErrorCode, StreamFailure
from server.api.http2.header_blocks import HeaderBlocks, KnownHead
from server.api.http2.hpack import Field
from server.api.http2.outbox import Stream
from server.api.http2.request_head import MalformedHead, check_trailers

#: frames that a header block may come in
_MOST_FRAGMENTS = 32


class StreamHandler(Protocol):
    """What requests are for."""

    def read_head(self, fields: Sequence[Field]) -> KnownHead:
        """What a header block says.

        Raises:
            MalformedHead
        """

    def too_large(self) -> KnownHead:
        """What stands for a head that is larger than it may be: it is refused in the application's own way."""

    def began(self, stream: Stream) -> None:
        """A request's head has come; it is the whole request where `stream.remote_closed`."""

    def received(self, stream: Stream, data: bytes) -> None:
        """Some of its body, the last of it where `stream.remote_closed`."""

    def cancelled(self, stream: Stream) -> None:
        """Nobody waits for the answer any more."""

    def drained(self, stream: Stream) -> None:
        """What was pending of the answer is on its way."""


class Http2Connection(FrameReader):
    """Requests and answers."""

    def __init__(self, handler: StreamHandler, limits: Http2Limits, clock: Callable[[], float]) -> None:
        """`clock` tells seconds."""
        super().__init__(limits, clock)
        self._handler = handler
        self._blocks = HeaderBlocks(limits.max_head, handler.read_head, handler.too_large)
        self._block = bytearray()  #: what has come of the header block of stream `_within`
        self._block_flags = self._fragments = 0
        self._gone: dict[int, bool] = {}  #: streams that were reset a moment ago; True: by the client, who knows it

    # requests

    def _headers(self, flags: int, number: int, payload: bytes) -> None:
        if not number & 1:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, f"a request on stream {number}")
        if flags & (frames.PADDED | frames.HAS_PRIORITY):
            payload = frames.header_fragment(flags, number, payload)
        if flags & END_HEADERS:
            self._whole_block(number, flags, payload)
        else:
            self._within, self._block_flags, self._fragments = number, flags, 1
            self._block = bytearray(payload)

    def _continuation(self, flags: int, number: int, payload: bytes) -> None:
        if not self._within:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
        self._block += payload
        self._fragments += 1
        if self._fragments > _MOST_FRAGMENTS or len(self._block) > self._limits.max_head:
            raise ConnectionFailure(
                ErrorCode.ENHANCE_YOUR_CALM,
                f"a header block may have {self._limits.max_head} bytes, in {_MOST_FRAGMENTS} frames",
            )
        if flags & END_HEADERS:
            self._within = 0
            self._whole_block(number, self._block_flags, bytes(self._block))

    def _whole_block(self, number: int, flags: int, block: bytes) -> None:
        ended = bool(flags & END_STREAM)
        if number > self.last:
            self._request(number, block, ended)
        elif (stream := self.streams.get(number)) is not None:
            self._trailers(stream, block, ended)
        else:
            self._blocks.fields(block)  # whatever it is for, it may change the table
            self._of_one_that_is_over(number, "HEADERS")

    def _request(self, number: int, block: bytes, ended: bool) -> None:
        if self._last_served is not None and number > self._last_served:
            self._blocks.fields(block)
            return
        self.last = number
        try:
            head, length = self._blocks.known.get(block) or self._blocks.head(block)
        except MalformedHead as error:
            raise StreamFailure(number, ErrorCode.PROTOCOL_ERROR, str(error)) from error
        if len(self.streams) >= self._limits.max_streams:
            raise StreamFailure(number, ErrorCode.REFUSED_STREAM, "as many streams are open as may be")
        stream = Stream(number, head, self.out.initial_window, self._limits.stream_window, length)
        stream.remote_closed = ended
        if ended and length:
            raise StreamFailure(number, ErrorCode.PROTOCOL_ERROR, "the body is shorter than content-length")
        self.streams[number] = stream
        self._handler.began(stream)

    def _trailers(self, stream: Stream, block: bytes, ended: bool) -> None:
        fields = self._blocks.fields(block) or ()
        if stream.remote_closed:
            raise StreamFailure(stream.id, ErrorCode.STREAM_CLOSED, "HEADERS after the request's end")
        try:
            check_trailers(fields)
        except MalformedHead as error:
            raise StreamFailure(stream.id, ErrorCode.PROTOCOL_ERROR, str(error)) from error
        if not ended or stream.left:
            raise StreamFailure(stream.id, ErrorCode.PROTOCOL_ERROR, "trailers are the end, after the whole body")
        stream.remote_closed = True
        self._handler.received(stream, b"")

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._window -= size
        if self._window < 0:
            raise ConnectionFailure(ErrorCode.FLOW_CONTROL_ERROR, "more than the connection's window")
        if self._window < self._limits.window // 2:
            self._widen()
        stream = self.streams.get(number)
        if stream is None:
            self._after_the_end(number)
            return
        if stream.remote_closed:
            raise StreamFailure(number, ErrorCode.STREAM_CLOSED, "DATA after the request's end")
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamFailure(number, ErrorCode.FLOW_CONTROL_ERROR, "more than the stream's window")
        if flags & frames.PADDED:
            payload = frames.unpadded(flags, payload)
            self.used(stream, size - len(payload))
        self._body(stream, payload, bool(flags & END_STREAM))

    def _body(self, stream: Stream, payload: bytes, ended: bool) -> None:
        if stream.left is not None:
            stream.left -= len(payload)
            if stream.left < 0 or (ended and stream.left):
                raise StreamFailure(stream.id, ErrorCode.PROTOCOL_ERROR, "content-length is not that of the body")
        if ended:
            stream.remote_closed = True
        elif not payload:
            self._idle.count()
            return
        self._handler.received(stream, payload)

    def _after_the_end(self, number: int) -> None:
        """DATA on a stream that is none: the client may not know yet that it is over."""
        if number > self.last or not number & 1:
            if self._last_served is None or number <= self._last_served or not number & 1:
                raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, f"DATA on stream {number}, which is not open")
        else:
            self._of_one_that_is_over(number, "DATA")

    def _of_one_that_is_over(self, number: int, what: str) -> None:
        """Let it through where the client cannot know that yet.

        Raises:
            ConnectionFailure, StreamFailure: it does.
        """
        by_client = self._gone.get(number)
        if by_client is None:
            raise ConnectionFailure(ErrorCode.STREAM_CLOSED, f"{what} on stream {number}, which is over")
        if by_client:
            raise StreamFailure(number, ErrorCode.STREAM_CLOSED, f"{what} on a stream that was reset")

    def used(self, stream: Stream, size: int) -> None:
        """So many bytes of a request hold no memory any more, or others that are counted: as many may come again."""
        stream.unacked += size
        if stream.unacked >= self._limits.stream_window // 2 and not stream.remote_closed:
            self.out.put(frames.window_update(stream.id, stream.unacked))
            stream.receive_window += stream.unacked
            stream.unacked = 0

    # what goes out

    def answer(self, stream: Stream, head: bytes, body: bytes, trailers: bytes) -> None:
        """A whole answer: two header blocks, and the body between them."""
        if not stream.pending and self.out.at_once(stream, head, body, trailers):
            self._finished(stream)
            return
        self.out.headers(stream.id, head)
        self.send(stream, body)
        self.end(stream, trailers)

    def begin_answer(self, stream: Stream, head: bytes) -> None:
        """The header block before an answer in parts."""
        self.out.headers(stream.id, head)

    def send(self, stream: Stream, data: bytes) -> None:
        """A part, for as long as the stream is one of `streams`. It waits in memory for the client's windows."""
        self.out.data(stream, data, self._clock())

    def end(self, stream: Stream, trailers: bytes) -> None:
        """The header block behind all parts; b"": there is none, only the end."""
        if stream.pending:
            stream.trailers = trailers
        else:
            self.out.end(stream.id, trailers)
            self._finished(stream)

    def cancel(self, stream: Stream) -> None:
        """The client does not read what it has asked for."""
        self.reset(stream, ErrorCode.CANCEL)
        self._handler.cancelled(stream)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """There is no answer, or no end of it."""
        self.out.put(frames.rst_stream(stream.id, code))
        self._forget(stream)

    def pump(self) -> None:
        """Put what is pending into `out`, as far as the client and `ENOUGH` let it."""
        for stream in self.out.pump(self._clock()):
            if stream.trailers is not None:
                self._finished(stream)
            else:
                self._handler.drained(stream)

    def _finished(self, stream: Stream) -> None:
        if stream.remote_closed:
            del self.streams[stream.id]
        else:  # the rest of the request is of nobody's interest
            self.reset(stream, ErrorCode.NO_ERROR)
        stream.call = None  # who knows its stream, too: the two would wait for a look for garbage

    def _forget(self, stream: Stream, by_client: bool = False) -> None:
        del self.streams[stream.id]
        self.out.drop(stream)
        self._remember(stream.id, by_client)

    def _remember(self, number: int, by_client: bool) -> None:
        if number not in self._gone and len(self._gone) >= 2 * self._limits.max_streams:
            del self._gone[next(iter(self._gone))]
        self._gone[number] = by_client

    def _drop(self, stream: Stream, by_client: bool = False) -> None:
        self._forget(stream, by_client)
        self._handler.cancelled(stream)

    def _reset(self, failure: StreamFailure) -> None:
        super()._reset(failure)
        self._remember(failure.stream, by_client=False)
