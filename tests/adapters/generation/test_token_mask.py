"""Masks are computed beside the engine, and say when they are there."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from adapters.generation.token_mask import GrammarMask


class Stepping:
    """A matcher that lets the token behind the last one follow, when it may."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.place = 0

    def is_error(self) -> bool:
        return False

    def consume_token(self, token: int) -> bool:
        self.place = token + 1
        return True

    def compute_bitmask(self) -> bytes:
        assert self.go_on.wait(60)
        return (1 << self.place).to_bytes(4, "little")


def test_a_mask_that_takes_long_is_not_ready_and_holds_nobody() -> None:
    matcher = Stepping()
    with ThreadPoolExecutor(1) as pool:
        mask = GrammarMask(matcher, pool, "f")
        assert not mask.is_ready()
        assert not mask.is_ready(0.001)
        matcher.go_on.set()
        row = torch.zeros(40)
        mask.apply(row)
        assert mask.is_ready(60)
        assert row.isfinite().nonzero()[:, 0].tolist() == [0]
        mask.advance(6)
        row = torch.zeros(40)
        mask.apply(row)
        assert row.isfinite().nonzero()[:, 0].tolist() == [7]
