"""What the peers that are programmed model by model make of requests that share a call."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.peers.batches import in_one_call


def test_each_request_gets_the_predictions_of_its_rows_out_of_one_call() -> None:
    calls: list[Any] = []

    def predict(rows: Any) -> list[Any]:
        calls.append(rows.tolist())
        return rows.sum(axis=1).tolist()  # type: ignore[no-any-return]

    answers = in_one_call(predict, [[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]])
    assert [each.tolist() for each in answers] == [[3.0], [7.0, 11.0]]
    assert calls == [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]


def test_a_request_alone_and_texts() -> None:
    (answer,) = in_one_call(lambda texts: [text.upper() for text in texts], [["a", "bc"]])
    assert answer.tolist() == ["A", "BC"]
    first, second = in_one_call(lambda texts: np.char.str_len(texts), [["a"], ["bcd"]])
    assert (first.tolist(), second.tolist()) == ([1], [3])
