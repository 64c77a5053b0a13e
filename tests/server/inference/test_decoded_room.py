"""What bodies become is counted until the request is gone, however that ends."""

from __future__ import annotations

import gc

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
