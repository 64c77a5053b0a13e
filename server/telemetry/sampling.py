"""Which requests are traced: OpenTelemetry's standard samplers (OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG).

Decided here, as the SDK takes some ten microseconds for it, and a small request not much longer; by its own rule, so
that every service with the same share records the same traces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import getrandbits
from typing import Self

from server.telemetry.traceparent import TraceParent

SAMPLER, ARGUMENT = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
_PARENT = "parentbased_"
_ALL = 1 << 64
_LOW = _ALL - 1
_KNOWN = ("always_on", "always_off", "traceidratio")
DEFAULT = "parentbased_always_on"


class SamplerError(ValueError):
    """There is no such sampler, or share."""


@dataclass(frozen=True)
class Sampling:
    """A sampler."""

    bound: int = _ALL  #: trace ids whose lower half is below it are recorded
    follows_parent: bool = True  #: what the caller says counts, where it says something

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """As the environment says.

        Raises:
            SamplerError
        """
        name = environ.get(SAMPLER, "").strip().lower() or DEFAULT
        kind = name.removeprefix(_PARENT)
        if kind not in _KNOWN:
            allowed = ", ".join(f"{prefix}{each}" for prefix in ("", _PARENT) for each in _KNOWN)
            raise SamplerError(f"{SAMPLER}={name} is no sampler that is known here: {allowed}")
        share = {"always_on": 1.0, "always_off": 0.0}.get(kind)
        return cls(round((_share(environ) if share is None else share) * _ALL), name != kind)

    @property
    def share(self) -> float:
        """Of the traces that begin here, from 0 to 1."""
        return self.bound / _ALL

    def trace_id(self, parent: TraceParent | None) -> int:
        """The trace that a request is recorded in; 0: it is not recorded."""
        if parent is None:
            trace_id = getrandbits(128) or 1
        elif self.follows_parent:
            return parent.trace_id if parent.sampled else 0
        else:
            trace_id = parent.trace_id
        return trace_id if trace_id & _LOW < self.bound else 0


def _share(environ: Mapping[str, str]) -> float:
    text = environ.get(ARGUMENT, "").strip() or "1"
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SamplerError(f"{ARGUMENT}={text} must be a share from 0 to 1")
    return share
