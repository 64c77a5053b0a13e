"""Which calls of a model are short enough to run on the event loop itself.

To hand a call to a thread and its answer back takes longer than the arithmetic of a small model, and while both
threads want the interpreter each waits for the other. So calls begin in threads; those of a steady model (how long a
call takes depends on the shapes of its inputs alone) move to the event loop once calls of their size have proved
short, and back as soon as one is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: seconds that a call on the event loop may take: by so much every other connection waits longer
SHORT = 0.0005
#: calls in a row that prove it
PROOF = 8
_SIZES = 64  #: calls are told apart by the bits of their number of rows


@dataclass
class Pace:
    """Learns from every call's rows and seconds of processor time: waiting for a core is not the call's fault."""

    steady: bool = False
    _good: int = 0  #: bits of the largest number of rows that is proved
    _streaks: list[int] = field(default_factory=lambda: [0] * _SIZES)

    def short(self, rows: int) -> bool:
        """Whether a call of so many rows may run on the event loop."""
        return rows.bit_length() <= self._good

    def told(self, rows: int, seconds: float) -> None:
        """A call of so many rows took so long."""
        if not self.steady:
            return
        size = min(rows.bit_length(), _SIZES - 1)
        if seconds <= SHORT:
            self._streaks[size] += 1
            if self._streaks[size] == PROOF:
                self._good = max(self._good, size)
        else:
            self._streaks[size:] = [0] * (_SIZES - size)
            proved = [bits for bits in range(size) if self._streaks[bits] >= PROOF]
            self._good = max(proved, default=0)
