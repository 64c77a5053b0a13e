"""HPACK: what header blocks of one connection say, and blocks that say something without any state.

The decoder keeps the client's dynamic table; `inserts` tells by its change whether a block has altered it: one that has
not means the same until another one does. A block that unfolds to more than `max_list` bytes (every field counts 32
more, as in the table) is too large: no more than that is kept of it. One that comes to many times as much is a bomb.

Source: RFC 7541.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

from server.api.http2 import huffman
from server.api.http2.frames import ConnectionFailure, ErrorCode

Field: TypeAlias = tuple[bytes, bytes]

#: bytes that a field takes beside its name and value
OVERHEAD = 32
#: bytes of the dynamic table, as nobody is told otherwise
TABLE_SIZE = 4096
#: a block that comes to so many times the bytes that it may is not read to its end
_BOMB = 16
#: above any length that may come
_MOST = 2**28

_STATIC = """:authority=;:method=GET;:method=POST;:path=/;:path=/index.html;:scheme=http;:scheme=https;:status=200;
:status=204;:status=206;:status=304;:status=400;:status=404;:status=500;accept-charset=;accept-encoding=gzip, deflate;
accept-language=;accept-ranges=;accept=;access-control-allow-origin=;age=;allow=;authorization=;cache-control=;
content-disposition=;content-encoding=;content-language=;content-length=;content-location=;content-range=;content-type=;
cookie=;date=;etag=;expect=;expires=;from=;host=;if-match=;if-modified-since=;if-none-match=;if-range=;
if-unmodified-since=;last-modified=;link=;location=;max-forwards=;proxy-authenticate=;proxy-authorization=;range=;
referer=;refresh=;retry-after=;server=;set-cookie=;strict-transport-security=;transfer-encoding=;user-agent=;vary=;via=;
www-authenticate="""


def _static() -> list[Field]:
    pairs = [each.strip().rpartition("=") for each in _STATIC.replace("\n", "").split(";")]
    return [(name.encode(), value.encode()) for name, _, value in pairs]


#: its first field has index 1
STATIC: list[Field] = _static()
_DYNAMIC = len(STATIC) + 1  #: the index of the youngest field of the dynamic table


class BlockTooLarge(Exception):
    """The fields of a block come to more than they may; it was read to its end, and the table is the client's still."""


class Decoder:
    """Of one connection's blocks, one after another."""

    __slots__ = ("_limit", "_max_list", "_size", "_table", "inserts")

    def __init__(self, max_list: int) -> None:
        """`max_list`: bytes that the fields of a block may come to."""
        self._table: deque[Field] = deque()  #: the youngest field first
        self._size = 0
        self._limit = TABLE_SIZE
        self._max_list = max_list
        self.inserts = 0  #: how often the table has changed

    def decode(self, block: bytes) -> list[Field]:
        """The fields of a whole block.

        Raises:
            ConnectionFailure: it is none.
            BlockTooLarge
        """
        try:
            return self._decode(block)
        except (IndexError, ValueError) as error:
            raise ConnectionFailure(ErrorCode.COMPRESSION_ERROR, f"a header block is damaged: {error}") from error

    def _decode(self, block: bytes) -> list[Field]:
        fields: list[Field] = []
        at, end, room = 0, len(block), self._max_list
        most = -(_BOMB - 1) * room  #: below it, nothing more is read
        while at < end:
            first = block[at]
            if first & 0x80:
                index, at = _integer(block, at, 0x7F)
                field = self._field(index)
            elif first & 0xE0 == 0x20:
                if fields:
                    raise ValueError("the table is resized after a field")
                size, at = _integer(block, at, 0x1F)
                self._resize(size)
                continue
            else:
                inserted = first & 0x40
                index, at = _integer(block, at, 0x3F if inserted else 0x0F)
                if index:
                    name = self._field(index)[0]
                else:
                    name, at = _string(block, at)
                value, at = _string(block, at)
                field = (name, value)
                if inserted:
                    self._insert(field)
            room -= len(field[0]) + len(field[1]) + OVERHEAD
            if room >= 0 or not fields:
                fields.append(field)
            elif room < most:
                raise ConnectionFailure(
                    ErrorCode.ENHANCE_YOUR_CALM, f"a header block unfolds to {_BOMB} times what it may have and more"
                )
        if room < 0:
            raise BlockTooLarge
        return fields

    def _field(self, index: int) -> Field:
        if index >= _DYNAMIC:
            return self._table[index - _DYNAMIC]
        if not index:
            raise ValueError("index 0")
        return STATIC[index - 1]

    def _insert(self, field: Field) -> None:
        self.inserts += 1
        self._table.appendleft(field)
        self._size += len(field[0]) + len(field[1]) + OVERHEAD
        self._evict()

    def _resize(self, size: int) -> None:
        if size > TABLE_SIZE:
            raise ValueError(f"a table of {size} bytes is more than was offered")
        self.inserts += 1
        self._limit = size
        self._evict()

    def _evict(self) -> None:
        while self._size > self._limit:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + OVERHEAD


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """An integer whose prefix are the bits of `mask`, and where it ends."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if value > _MOST or shift > 28:
            raise ValueError("an integer is too large")
        if byte < 0x80:
            return value, at
        shift += 7


def _string(block: bytes, at: int) -> tuple[bytes, int]:
    coded = block[at] & 0x80
    length, at = _integer(block, at, 0x7F)
    end = at + length
    if end > len(block):
        raise ValueError("a string is cut")
    return (huffman.decode(block[at:end]) if coded else block[at:end]), end


def literal(name: bytes, value: bytes) -> bytes:
    """A field by itself, which no table remembers: it means the same on every connection."""
    return b"\x00" + _length(len(name)) + name + _length(len(value)) + value


def indexed(index: int) -> bytes:
    """A field of the static table."""
    return bytes((0x80 | index,))


def _length(size: int) -> bytes:
    if size < 0x7F:
        return bytes((size,))
    out, size = bytearray((0x7F,)), size - 0x7F
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out)
