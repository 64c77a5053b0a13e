"""Requests that share a call, as the peers that are programmed model by model put them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.frameworks import Predict

BATCH = 64  #: requests that may share a call, at most


def in_one_call(predict: Predict, batch: Sequence[Any]) -> list[Any]:
    """The predictions of each of several requests' rows."""
    rows = [np.asarray(each) for each in batch]
    answers = np.asarray(predict(rows[0] if len(rows) == 1 else np.concatenate(rows)))
    return np.split(answers, np.cumsum([len(each) for each in rows])[:-1])
