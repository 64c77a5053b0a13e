"""What the peers that are programmed model by model share: how a model is loaded, and how requests share a call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import frameworks
from bench.frameworks import Predict

BATCH = 64  #: requests that may share a call, at most


def load(name: str, folder: Path) -> Predict:
    """As its framework does; BERT with one thread, which is quicker for so small a network (`kserve-1-thread`)."""
    if name == "bert":
        import torch

        torch.set_num_threads(1)
    return frameworks.load(name, folder)


def in_one_call(predict: Predict, batch: Sequence[Any]) -> list[Any]:
    """The predictions of each of several requests' rows."""
    rows = [np.asarray(each) for each in batch]
    answers = np.asarray(predict(rows[0] if len(rows) == 1 else np.concatenate(rows)))
    return np.split(answers, np.cumsum([len(each) for each in rows])[:-1])
