"""`shadow` in a version's polyserve.yaml."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.base import LoadError
from server.config.shadow_config import ShadowConfig, read_shadow


@pytest.mark.parametrize(
    ("value", "config"),
    [
        (None, None),
        (False, None),
        (True, ShadowConfig()),
        ({"share": 0.5, "after": 3}, ShadowConfig(0.5, 3)),
        ({"tolerance": 1}, ShadowConfig(tolerance=1.0)),
    ],
)
def test_what_may_be_said(value: Any, config: ShadowConfig | None) -> None:
    assert read_shadow(value) == config


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("yes", "shadow: 'yes' must be true, false, or share, after, tolerance with values"),
        ({"shares": 1}, "unknown key shadow.shares; allowed are share, after, tolerance"),
        ({"share": 2}, "shadow.share: 2 must be a number from 0 to 1"),
        ({"share": True}, "shadow.share: True must be"),
        ({"after": 0}, "shadow.after: 0 must be a whole number, at least 1"),
        ({"tolerance": float("inf")}, "shadow.tolerance: inf must be a number, 0 or more"),
    ],
)
def test_what_cannot_be_meant(value: Any, says: str) -> None:
    with pytest.raises(LoadError, match=says):
        read_shadow(value)
