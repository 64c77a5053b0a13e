"""Lanes are gained where rows per second rise, and only there."""

from __future__ import annotations

import pytest

from server.inference.batching.adaptive import RETRY, ConcurrencyLimit


class Model:
    """A busy model on a clock of its own: `rate[lanes]` rows a second."""

    def __init__(self, rates: dict[int, float], rows: int = 10, most: int = 3) -> None:
        self.rates, self.rows, self.clock = rates, rows, 0.0
        self.lanes = ConcurrencyLimit(most)

    def run(self, seconds: float, saturated: bool = True) -> int:
        end = self.clock + seconds
        while self.clock < end:
            step = self.rows / self.rates[self.lanes.now]
            self.clock += step
            self.lanes.finished(self.rows, step * self.lanes.now, self.clock, saturated)
        return self.lanes.now


def test_a_model_that_scales_gets_lanes() -> None:
    assert Model({1: 1000, 2: 1900, 3: 2700}).run(10) == 3


def test_a_model_that_holds_the_gil_keeps_one() -> None:
    model = Model({1: 1000, 2: 920, 3: 800})
    assert model.run(RETRY - 1) == 1
    assert model.lanes._retry > RETRY


def test_a_refused_lane_is_tried_again_more_and_more_rarely() -> None:
    model = Model({1: 1000, 2: 920, 3: 800})
    trials, lanes = 0, 1
    while model.clock < 200:
        now = model.run(0.05)
        trials += now > lanes
        lanes = now
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
