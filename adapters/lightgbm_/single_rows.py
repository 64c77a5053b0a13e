"""LightGBM's C function for one row, whose configuration is read once instead of in every call.

Of the 30 µs that `Booster.predict` takes for a row through 300 small trees, 25 are Python and the reading of
parameters; here the row costs 5, and some rows cost less one by one than together.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np

from adapters.base import Array
from adapters.shared import native_calls
from adapters.shared.native_calls import Pool, Predict, address, freed, rows_like

__all__ = ["MOST_ROWS", "SingleRows", "proved"]


#: rows that are asked for one by one; from 16 on, one call for all of them is the quicker one
MOST_ROWS = 8

_FUNCTION = "LGBM_BoosterPredictForMatSingleRowFast"
_POINTER, _INT, _TEXT = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
# of LightGBM's C API, by their names there
_C_API_DTYPE_FLOAT64, _C_API_PREDICT_NORMAL, _C_API_PREDICT_RAW_SCORE = 1, 0, 1
_FROM_THE_FIRST = 0  #: start_iteration
_PARAMETERS = b"num_threads=1"


class SingleRows:
    """Calls the C function for a few rows that it can read, and `ordinary` for all others. Threads may share it."""

    def __init__(self, booster: Any, *, raw_score: bool, ordinary: Predict) -> None:
        """
        Raises:
            AttributeError: this LightGBM has no such function.
            ValueError: LightGBM refuses.
        """
        from lightgbm import basic

        library = basic._LIB
        # by their names in brackets, as they have no types of ours then where LightGBM itself calls them
        self._call = library[_FUNCTION]
        self._call.argtypes = [_POINTER, _POINTER, _POINTER, _POINTER]
        self._prepare = library[f"{_FUNCTION}Init"]
        self._prepare.argtypes = [_POINTER, _INT, _INT, _INT, _INT, ctypes.c_int32, _TEXT, _POINTER]
        self._free = library["LGBM_FastConfigFree"]
        self._free.argtypes = [_POINTER]
        self._booster = booster  # which owns the handle
        self._kind = _C_API_PREDICT_RAW_SCORE if raw_score else _C_API_PREDICT_NORMAL
        self._features = int(booster.num_feature())
        self._outputs = self._values_of_a_row(library)
        self._ordinary = ordinary
        self._slots = Pool(self._slot)

    def __call__(self, rows: Array) -> Array:
        """What `ordinary` answers, to the bit."""
        if not self._readable(rows):
            return self._ordinary(rows)
        answer = np.empty((len(rows), self._outputs))
        if not self._filled(rows, answer):
            return self._ordinary(rows)  # which says why not
        return answer[:, 0] if self._outputs == 1 else answer

    def _filled(self, rows: Array, answer: Array) -> bool:
        slot = self._slots.take()
        try:
            row, values = address(rows), address(answer)
            for _ in range(len(rows)):
                if self._call(slot.configuration, row, slot.length, values):
                    return False
                row += 8 * self._features
                values += 8 * self._outputs
            return True
        finally:
            self._slots.put(slot)

    def _readable(self, rows: Array) -> bool:
        return (
            type(rows) is np.ndarray
            and rows.dtype == np.float64
            and rows.ndim == 2
            and rows.shape[1] == self._features
            and 0 < len(rows) <= MOST_ROWS
            and rows.flags.c_contiguous
        )

    def _values_of_a_row(self, library: Any) -> int:
        count = library["LGBM_BoosterCalcNumPredict"]
        count.argtypes = [_POINTER, _INT, _INT, _INT, _INT, _POINTER]
        found = ctypes.c_int64()
        handle, rounds = self._booster._handle, self._booster.best_iteration
        if count(handle, 1, self._kind, _FROM_THE_FIRST, rounds, ctypes.byref(found)) or found.value < 1:
            raise ValueError("LightGBM does not say how many values it answers a row")
        return found.value

    def _slot(self) -> _Slot:
        configuration = _POINTER()
        if self._prepare(
            self._booster._handle,
            self._kind,
            _FROM_THE_FIRST,
            self._booster.best_iteration,
            _C_API_DTYPE_FLOAT64,
            self._features,
            _PARAMETERS,
            ctypes.byref(configuration),
        ):
            raise ValueError("LightGBM makes no configuration for single rows")
        slot = _Slot(self._booster, configuration)
        freed(slot, self._free, configuration)
        return slot


class _Slot:
    """A configuration, which holds what one call writes to, and the booster that it is about."""

    def __init__(self, booster: Any, configuration: ctypes.c_void_p) -> None:
        self._booster = booster
        self.configuration = configuration
        self._count = ctypes.c_int64()
        self.length = ctypes.addressof(self._count)


def proved(booster: Any, *, raw_score: bool, ordinary: Predict, categories: Mapping[int, int] | None = None) -> Predict:
    """The quick way, if it gives the same bits as `ordinary` on rows made up for it, else `ordinary`.

    `categories` are the columns of codes, and how many codes there are.
    """

    def quick() -> Predict:
        return SingleRows(booster, raw_score=raw_score, ordinary=ordinary)

    return native_calls.proved(
        "LightGBM's C function for one row",
        quick,
        ordinary,
        lambda: (rows[:MOST_ROWS] for rows in rows_like(booster.num_feature(), np.float64, categories, infinite=True)),
    )
