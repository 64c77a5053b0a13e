"""Which rows a packed row holds: each thread knows its own, and none once the call is over."""

from __future__ import annotations

import threading

import pytest

torch = pytest.importorskip("torch")

from adapters.huggingface_.packed_runs import NotPacked, current, packed, runs  # noqa: E402


def test_rows_of_one_length_are_one_run() -> None:
    states = torch.arange(2 * 9 * 1).reshape(1, 2, 9, 1)  # [1, heads, total, size]
    with packed([2, 2, 1, 4], first=True):
        assert [(run.start, run.count, run.length) for run in runs()] == [(0, 2, 2), (4, 1, 1), (5, 1, 4)]
        assert list(current.starts) == [0, 2, 4, 5]
        assert runs()[0].of(states).tolist() == [[[[0], [1]], [[9], [10]]], [[[2], [3]], [[11], [12]]]]
        others: list[int] = []
        thread = threading.Thread(target=lambda: others.append(len(current.runs)))
        thread.start()
        thread.join()
        assert others == [0]


def test_there_are_none_behind_it_whatever_becomes_of_the_call() -> None:
    def fail() -> None:
        with packed([1], first=False):
            assert current.runs
            assert not current.starts
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not current.runs
    with pytest.raises(NotPacked, match="otherwise than by packed rows"):
        runs()
