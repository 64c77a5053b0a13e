"""`shadow` in the `polyserve.yaml` of a version: it runs beside the one that serves, on live requests.

shadow: true                # or, with what may be told:
shadow:
  share: 0.1                # of the requests that the model answers; 1 unless it is told
  after: 1000               # it takes over by itself after so many answers in a row that agree
  tolerance: 1e-4           # by which numbers may differ, relative or absolute; 1e-6 unless it is told
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from adapters.base import LoadError

_KEYS = ("share", "after", "tolerance")


@dataclass(frozen=True)
class ShadowConfig:
    """How a version is compared with the one that serves."""

    share: float = 1.0
    after: int | None = None  #: None: somebody promotes it
    tolerance: float = 1e-6


def read_shadow(value: Any) -> ShadowConfig | None:
    """What the file says; None: it is a version like any other.

    Raises:
        LoadError: it says what cannot be meant.
    """
    if value is None or value is False:
        return None
    if value is True:
        return ShadowConfig()
    if not isinstance(value, dict):
        raise LoadError(f"polyserve.yaml: shadow: {value!r:.80} must be true, false, or {', '.join(_KEYS)} with values")
    for key in value:
        if key not in _KEYS:
            raise LoadError(f"polyserve.yaml: unknown key shadow.{key!s:.80}; allowed are {', '.join(_KEYS)}")
    after = value.get("after")
    if after is not None and (type(after) is not int or after < 1):
        raise LoadError(f"polyserve.yaml: shadow.after: {after!r:.80} must be a whole number, at least 1")
    share = _number(value.get("share", 1.0), "share", 1.0)
    return ShadowConfig(share, after, _number(value.get("tolerance", 1e-6), "tolerance", math.inf))


def _number(value: Any, key: str, most: float) -> float:
    if type(value) not in (int, float) or not 0 <= value <= most or math.isinf(value):
        limit = "a number, 0 or more" if math.isinf(most) else f"a number from 0 to {most:g}"
        raise LoadError(f"polyserve.yaml: shadow.{key}: {value!r:.80} must be {limit}")
    return float(value)
