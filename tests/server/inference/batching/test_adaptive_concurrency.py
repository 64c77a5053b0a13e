"""More calls at a time where rows per second rise, and only there."""

from __future__ import annotations

import pytest

from server.inference.batching.adaptive import ConcurrencyLimit
from server.inference.batching.tuning import TUNING, Tuning


class Model:
    """A busy model on a clock of its own: `rates[calls at a time]` rows a second."""

    def __init__(self, rates: dict[int, float], rows: int = 10, most: int = 3, tuning: Tuning = TUNING) -> None:
        self.rates, self.rows, self.clock = rates, rows, 0.0
        self.limit = ConcurrencyLimit(most, tuning=tuning)

    def run(self, seconds: float, saturated: bool = True) -> int:
        end = self.clock + seconds
        while self.clock < end:
            step = self.rows / self.rates[self.limit.now]
            self.clock += step
            self.limit.observe(self.rows, step * self.limit.now, self.clock, saturated)
        return self.limit.now


def test_a_model_that_scales_has_more_calls_at_a_time() -> None:
    assert Model({1: 1000, 2: 1900, 3: 2700}).run(10) == 3


def test_a_model_that_holds_the_gil_keeps_one() -> None:
    model = Model({1: 1000, 2: 920, 3: 800})
    assert model.run(TUNING.concurrency_retry_seconds - 1) == 1
    assert model.limit._retry > TUNING.concurrency_retry_seconds


def test_what_was_refused_is_tried_again_more_and_more_rarely() -> None:
    model = Model({1: 1000, 2: 920, 3: 800})
    trials, before = 0, 1
    while model.clock < 200:
        now = model.run(0.05)
        trials += now > before
        before = now
    assert 3 <= trials <= 7


def test_what_changes_is_learned() -> None:
    model = Model({1: 1000, 2: 920, 3: 800})
    assert model.run(3) == 1
    model.rates = {1: 1000, 2: 1900, 3: 1900}
    assert model.run(60) >= 2


@pytest.mark.parametrize(("rows", "saturated"), [(1, True), (10, False)])
def test_light_calls_and_idle_models_keep_one(rows: int, saturated: bool) -> None:
    rates = {1: 2000.0, 2: 4000.0, 3: 6000.0}
    assert Model(rates, rows).run(5, saturated) == 1


def test_one_at_most_is_never_left() -> None:
    assert Model({1: 1000, 2: 1900}, most=1).run(10) == 1
