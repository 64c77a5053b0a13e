"""Bars of characters."""

from __future__ import annotations

import pytest

from server.cli import text_plot
from server.cli.text_plot import bars, histogram, milliseconds


@pytest.fixture(autouse=True)
def ascii_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_plot, "_block", lambda: "#")


def test_the_longest_bar_is_of_the_largest() -> None:
    one, two, none = bars([("a", 10, "10"), ("bbb", 40, "40"), ("c", 0, "0")])
    assert (one, two, none) == (f"    a {'#' * 10} 10", f"  bbb {'#' * 40} 40", "    c  0")
    assert bars([]) == []
    assert bars([("x", 0.0, "")]) == ["  x"], "nothing was measured"


def test_every_value_is_in_a_bin() -> None:
    values = [0.001] * 5 + [0.01] * 3 + [0.1]
    lines = histogram(values)
    assert sum(int(line.split()[-1]) for line in lines) == len(values)
    assert lines[0].strip().startswith("to ")
    assert lines[-1].strip().startswith("to 100.0 ms")


@pytest.mark.parametrize("values", [[0.002], [0.002] * 9, [0.0, 0.0]])
def test_values_that_are_all_the_same(values: list[float]) -> None:
    assert [int(line.split()[-1]) for line in histogram(values)] == [len(values)]


def test_nothing() -> None:
    assert histogram([]) == []


def test_milliseconds() -> None:
    assert [milliseconds(each) for each in (0.1234, 12.34, 1234.5)] == ["0.12", "12.3", "1234"]
