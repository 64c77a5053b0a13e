"""What a model prints in its worker, line by line in the log under the model's name."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from server.runtime.line_marks import owned
from server.telemetry.traceparent import log_fields
from server.text import blanked

log = logging.getLogger("kserve")

MAX_LINE = 2000  #: bytes of a line that are shown
#: lines that may come at once, and lines a second after that: a model that prints in a loop must not fill the disk
BURST, PER_SECOND = 1000, 100


@dataclass
class OutputLog:
    """Cuts what is printed into lines; one thread at a time."""

    model: str
    _line: bytes = b""
    _cut: bool = False  #: the line in progress was shown already, as far as it is shown
    _allowance: float = BURST
    _clock: float = field(default_factory=time.monotonic)
    _left_out: int = 0

    def take(self, printed: bytes) -> None:
        """More output. Of a progress bar (`\\r`) only the last state of each line is shown."""
        *lines, rest = (self._line + printed).split(b"\n")
        for line in lines:
            if not self._cut:
                self._show(line)
            self._cut = False
        if len(rest) > MAX_LINE and not self._cut:
            self._show(rest)
            self._cut = True
        self._line = b"" if self._cut else rest

    def close(self) -> None:
        """Show what came without a line's end."""
        if self._line and not self._cut:
            self._show(self._line)
        self._line = b""
        self._tell_left_out()

    def _show(self, line: bytes) -> None:
        line, request_id, traceparent = owned(line)
        text = blanked(line.rstrip().rpartition(b"\r")[2][:MAX_LINE].decode(errors="replace"))
        if not text.strip():
            return
        now = time.monotonic()
        self._allowance = min(BURST, self._allowance + (now - self._clock) * PER_SECOND)
        self._clock = now
        if self._allowance < (PER_SECOND if self._left_out else 1):  # a pause, not every other line
            self._left_out += 1
            return
        self._allowance -= 1
        self._tell_left_out()
        whose = {**({"request_id": request_id} if request_id else {}), **log_fields(traceparent)}
        log.info("model %s | %s%s", self.model, text, "..." if len(line) > MAX_LINE else "", extra=whose)

    def _tell_left_out(self) -> None:
        if self._left_out:
            log.warning("model %s printed too much: %d lines were left out", self.model, self._left_out)
            self._left_out = 0
