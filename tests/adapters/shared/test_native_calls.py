"""What calls in C need: things for one call at a time, rows made up for a proof, and the proof."""

from __future__ import annotations

import gc
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from adapters.shared.native_calls import Pool, differs, freed, rows_like


def test_a_thing_is_lent_to_one_call_at_a_time() -> None:
    numbers = itertools.count()
    pool = Pool(lambda: next(numbers))
    assert (pool.take(), pool.take()) == (0, 1)
    pool.put(1)
    assert (pool.take(), pool.take()) == (1, 2)


def test_threads_never_share_a_thing() -> None:
    pool: Pool[list[int]] = Pool(list)
    together = threading.Barrier(4)

    def use(_: int) -> bool:
        thing = pool.take()
        thing.append(threading.get_ident())
        together.wait()  # all four have one now
        alone = set(thing) == {threading.get_ident()}
        thing.clear()
        together.wait()
        pool.put(thing)
        return alone

    with ThreadPoolExecutor(4) as threads:
        for _ in range(20):
            assert all(threads.map(use, range(4)))


def test_what_c_has_made_is_freed_before_what_its_owner_refers_to() -> None:
    class Owner:
        def __init__(self, parent: Any) -> None:
            self.parent = parent

    told: list[str] = []
    parent = Owner(None)
    owner = Owner(parent)
    freed(parent, told.append, "parent")
    freed(owner, told.append, "owner")
    del parent
    assert told == []
    del owner
    gc.collect()
    assert told == ["owner", "parent"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["FP32", "FP64"])
def test_rows_are_of_every_kind_and_always_the_same(dtype: Any) -> None:
    batches = list(rows_like(3, dtype, {1: 4}))
    assert {len(rows) for rows in batches} == {1, 2, 9, 64}
    everything = np.concatenate(batches)
    assert everything.dtype == dtype
    codes = everything[:, 1]
    assert set(codes[~np.isnan(codes)]) == {0, 1, 2, 3}
    numbers = everything[:, [0, 2]]
    assert np.isnan(numbers).any()
    assert not np.isinf(everything).any()
    assert (np.abs(numbers) > 1e38).any()
    assert any(np.signbit(value) and value == 0 for value in numbers.ravel())
    again = rows_like(3, dtype, {1: 4})
    assert all(rows.tobytes() == others.tobytes() for rows, others in zip(batches, again, strict=True))


def test_infinities_are_for_models_that_take_them() -> None:
    assert any(np.isinf(rows).any() for rows in rows_like(3, np.float64, infinite=True))


def test_very_wide_models_are_shown_few_rows() -> None:
    assert max(rows.size for rows in rows_like(2**19, np.float32)) == 2**20


def _doubled(rows: Any) -> Any:
    return rows * 2


def _refuses(rows: Any) -> Any:
    raise ValueError("no")


@pytest.mark.parametrize(
    ("quick", "ordinary", "same"),
    [
        (_doubled, _doubled, True),
        (_refuses, _refuses, True),
        (lambda rows: rows + rows, _doubled, True),
        (lambda rows: np.nextafter(rows * 2, 9, dtype=np.float32), _doubled, False),
        (lambda rows: (rows * 2).astype(np.float64), _doubled, False),
        (lambda rows: (rows * 2).ravel(), _doubled, False),
        (lambda rows: np.frombuffer((rows * 2).tobytes(), np.float32).reshape(rows.shape), _doubled, False),
        (_refuses, _doubled, False),
        (_doubled, _refuses, False),
    ],
    ids=["same", "refused", "other-sums", "a-bit", "dtype", "shape", "read-only", "one-refuses", "other-refuses"],
)
def test_every_bit_counts(quick: Any, ordinary: Any, same: bool) -> None:
    difference = differs(quick, ordinary, [np.ones((2, 3), np.float32)])
    assert (difference == "") is same
