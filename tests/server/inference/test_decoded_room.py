"""What bodies become is counted until the request is gone, however that ends."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from server.errors import Overloaded, TooLarge
from server.inference.decoded_room import DecodedRoom


def test_what_is_held_is_bounded_and_given_back() -> None:
    room = DecodedRoom(1000)
    numbers, texts = {"x": np.zeros(100)}, {"x": np.array(["a"] * 5, object)}
    first = room.take(numbers)
    assert room.held == 800
    with pytest.raises(Overloaded, match=r"takes 800 bytes by now, and 400 more are too many.* 1000 .*try again"):
        room.take(texts)
    del first
    gc.collect()
    assert room.held == 0
    second = room.take(texts)
    assert room.held == 400
    with pytest.raises(TooLarge, match=r"takes 1600 bytes, the limit is 1000 .*max_bodies_bytes.*: send fewer rows"):
        room.take(numbers | {"y": np.zeros(100)})
    del second
    gc.collect()
    assert room.held == 0


def test_what_is_collected_while_another_is_refused_is_given_back() -> None:
    """A request that failed hangs in a cycle with its traceback: it goes with a collection, whoever causes that."""

    class Room(DecodedRoom):
        def _refusal(self, size: int) -> TooLarge | Overloaded:
            gc.collect()
            return super()._refusal(size)

    room = Room(1000)
    cycle: list[object] = [room.take({"x": np.zeros(100)})]
    cycle.append(cycle)
    del cycle
    outcome: list[object] = []

    def take() -> None:
        with pytest.raises(Overloaded):
            room.take({"x": np.zeros(100)})
        outcome.append(room.held)

    thread = threading.Thread(target=take, daemon=True)  # one that waits for itself would never end
    thread.start()
    thread.join(60)
    assert outcome == [0]
