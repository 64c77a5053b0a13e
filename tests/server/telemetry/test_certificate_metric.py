"""When the certificate expires is a gauge, read anew with every scrape."""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry

from server.telemetry.certificate_metric import CertificateMetric

NAME = "polyserve_certificate_expiration_timestamp_seconds"


def test_it_is_what_the_certificate_says_now() -> None:
    moments = [1.0]
    registry = CollectorRegistry(auto_describe=True)
    registry.register(CertificateMetric(lambda: moments[0]))
    assert registry.get_sample_value(NAME) == 1
    moments[0] = 2.0
    assert registry.get_sample_value(NAME) == 2
    moments[0] = math.inf
    assert registry.get_sample_value(NAME) is None
