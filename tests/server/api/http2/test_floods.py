"""So many a second, and no more."""

from __future__ import annotations

import pytest

from server.api.http2.floods import FrameRate
from server.api.http2.frames import ConnectionFailure, ErrorCode


def test_a_rate_is_counted_by_the_clock() -> None:
    now = [0.0]
    rate = FrameRate("frames", 10, lambda: now[0])
    for second in range(5):
        now[0] = float(second)
        for _ in range(9):
            rate.count()
    one_more = (rate.count() for _ in range(12))
    with pytest.raises(ConnectionFailure, match="more than 10 frames within a second") as caught:
        list(one_more)
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM
