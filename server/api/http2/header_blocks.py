"""Header blocks of one connection, and what they say: a block is known again by its bytes, where it means the same.

A client repeats the header block of its requests byte by byte. One that changes nothing in the dynamic table means the
same until the table changes, and costs one look-up till then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from server.api.http2.hpack import OVERHEAD, BlockTooLarge, Decoder, Field

#: what a head says, in the application's terms, and how many bytes its body has, where it says so
KnownHead: TypeAlias = tuple[Any, int | None]

#: blocks that are known by their bytes, bytes of one, and bytes that all of them unfold to: a few bytes may say much
_MOST, _LONGEST, _UNFOLDED = 64, 512, 16_384


class HeaderBlocks:
    """Reads them in the order in which they come."""

    __slots__ = ("_decoder", "_interpret", "_too_large", "_unfolded", "known")

    def __init__(
        self, max_size: int, interpret: Callable[[Sequence[Field]], KnownHead], too_large: Callable[[], KnownHead]
    ) -> None:
        """`max_size`: bytes that a block unfolds to; `too_large` says what stands for one that is larger."""
        self._decoder = Decoder(max_size)
        self._interpret = interpret
        self._too_large = too_large
        self.known: dict[bytes, KnownHead] = {}
        self._unfolded = 0  #: bytes that those known come to

    def head(self, block: bytes) -> KnownHead:
        """What a request's block says.

        Raises:
            ConnectionFailure: it is no header block.
            Exception: what `interpret` raises.
        """
        known = self.known.get(block)
        return self._learn(block) if known is None else known

    def _learn(self, block: bytes) -> KnownHead:
        before = self._decoder.inserts
        fields = self.fields(block)
        known = self._too_large() if fields is None else self._interpret(fields)
        if self._decoder.inserts == before and len(block) <= _LONGEST:
            self._keep(block, known, sum(len(name) + len(value) + OVERHEAD for name, value in fields or ()))
        return known

    def _keep(self, block: bytes, known: KnownHead, size: int) -> None:
        if not self.known or len(self.known) >= _MOST or self._unfolded + size > _UNFOLDED:
            self.known.clear()
            self._unfolded = 0
        self._unfolded += size
        self.known[block] = known

    def fields(self, block: bytes) -> list[Field] | None:
        """The fields of a block that is no request's head, or of nobody's interest any more; None: too many.

        Raises:
            ConnectionFailure: it is no header block.
        """
        before = self._decoder.inserts
        try:
            return self._decoder.decode(block)
        except BlockTooLarge:
            return None
        finally:
            if self._decoder.inserts != before:
                self.known.clear()
