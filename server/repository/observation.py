"""Who looks on at the answers of a process, as its settings and its environment say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from server.config.settings import Settings
from server.inference.taps import Tap
from server.inference.trace_tap import TraceTap
from server.repository.payloads.payload import Kind, Sender
from server.repository.payloads.payload_queue import PayloadQueue
from server.repository.payloads.payload_tap import PayloadTap
from server.repository.payloads.sinks import sink
from server.runtime import logs
from server.telemetry.metrics import MetricsByModel
from server.telemetry.tracing import Tracing

_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_KINDS: Mapping[str, Sequence[Kind]] = {
    "all": ("request", "response"),
    "request": ("request",),
    "response": ("response",),
}


class Observation:
    """The taps of a process, and their end."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], metrics: MetricsByModel) -> None:
        """Nothing is imported, started or opened for what is not asked for."""
        self.taps: list[Tap] = []  #: for every model
        self._tracing = Tracing.of(environ)
        if self._tracing is not None:
            logs.forward("opentelemetry")
            self.taps.append(TraceTap(self._tracing))
        self._payloads: PayloadQueue | None = None
        if settings.payload_log is not None:
            self._payloads = PayloadQueue(sink(settings.payload_log, sender(environ)), metrics.of)
            kinds = _KINDS[settings.payload_log_mode]
            shown = (settings.payload_log_share, kinds, settings.payload_log_headers)
            self.taps.append(PayloadTap(self._payloads.put, *shown, drop=self._payloads.drop))

    def close(self) -> None:
        """Hand over what is still held; blocks for some seconds at most."""
        if self._tracing is not None:
            self._tracing.close()
        if self._payloads is not None:
            self._payloads.close()


def sender(environ: Mapping[str, str], namespace: Path = _NAMESPACE) -> Sender:
    """Who this server is to Kubernetes, as far as it can know."""
    known = environ.get("POD_NAMESPACE", "")
    if not known:
        try:
            known = namespace.read_text().strip()
        except (OSError, UnicodeError):
            known = ""
    return Sender(environ.get("INFERENCE_SERVICE_NAME", ""), known)
