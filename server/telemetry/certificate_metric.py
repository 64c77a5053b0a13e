"""When the server's certificate expires, for Prometheus, as cert-manager tells it of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_NAME = "polyserve_certificate_expiration_timestamp_seconds"
_MEANING = "when the certificate that is shown expires, or one above it: seconds since the epoch"


class CertificateMetric(Collector):
    """One family, of a server over TLS; without a value where the certificate does not say when."""

    def __init__(self, expires_at: Callable[[], float]) -> None:
        """`expires_at` gives seconds since the epoch of the certificate that is shown now."""
        self._expires_at = expires_at

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(_NAME, _MEANING)
        if math.isfinite(moment := self._expires_at()):
            family.add_metric([], moment)
        yield family
