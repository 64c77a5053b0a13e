"""Who looks on at the answers of a process, as its settings and its environment say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from server.inference.taps import Tap
from server.inference.trace_tap import TraceTap
from server.runtime import logs
from server.telemetry.tracing import Tracing


class Observation:
    """The taps of a process, and their end."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Nothing is imported, started or opened for what is not asked for."""
        self._tracing = Tracing.of(environ)
        if self._tracing is not None:
            logs.forward("opentelemetry")

    @property
    def taps(self) -> Sequence[Tap]:
        """For every model."""
        return [TraceTap(self._tracing)] if self._tracing is not None else []

    def close(self) -> None:
        """Hand over what is still held; blocks for some seconds at most."""
        if self._tracing is not None:
            self._tracing.close()
