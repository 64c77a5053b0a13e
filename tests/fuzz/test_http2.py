"""A short run of the fuzzer of HTTP/2; `python -m tests.fuzz.http2` makes long ones."""

from __future__ import annotations

import logging

import pytest

from tests.fuzz.http2 import run

CASES = 150


@pytest.mark.parametrize("seed", [1])
def test_whatever_is_said_nothing_is_left_of_it(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "kserve")
    told = run(seed, CASES)
    assert told["connections"] == CASES
    assert min(told["answered DATA"], told["answered GOAWAY"], told["answered RST_STREAM"]) > CASES // 20
    assert told["HPACK: read alike"] > CASES // 20
