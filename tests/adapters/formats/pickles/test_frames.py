"""Frames are read as the standard library reads them, byte by byte, and a memory is a dictionary by numbers."""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest

from adapters.formats.pickles.frames import Frames, Memo


def _outcome(act: Callable[..., Any], *arguments: Any) -> Any:
    """What it answers, or its complaint."""
    try:
        return act(*arguments)
    except (pickle.UnpicklingError, EOFError) as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("seed", range(20))
def test_reads_are_those_of_the_standard_library(seed: int) -> None:
    random_ = random.Random(seed)
    content = bytes(random_.choice(b"abc\n") for _ in range(400))
    files = io.BytesIO(content), io.BytesIO(content)
    ours = Frames(files[0].read, files[0].readline)

    def exactly(size: int) -> bytes:
        if len(read := files[1].read(size)) < size:
            raise EOFError("an argument ends early")
        return read

    theirs = pickle._Unframer(exactly, files[1].readline)  # type: ignore[attr-defined]
    for _ in range(200):
        act, size = random_.choice(["read", "readline", "load_frame", "read"]), random_.choice([0, 1, 1, 2, 4, 9, 30])
        arguments = () if act == "readline" else (size,)
        told = _outcome(getattr(ours, act), *arguments)
        assert told == _outcome(getattr(theirs, act), *arguments)
        if isinstance(told, str):  # the end: what has been read by then is not agreed
            break
        frame = theirs.current_frame
        assert ours.left() == (frame is not None and frame.tell() < len(frame.getbuffer()))
        assert files[0].tell() == files[1].tell()


def test_a_frame_tells_its_place() -> None:
    file = io.BytesIO(b"abcd\nefgh")
    frames = Frames(file.read, file.readline)
    assert (frames.left(), frames.data, frames.at) == (False, b"", 0)
    frames.load_frame(6)
    assert (frames.left(), frames.data, frames.at) == (True, b"abcd\ne", 0)
    assert (frames.read(1), frames.at) == (b"a", 1)
    assert (frames.readline(), frames.at) == (b"bcd\n", 5)
    with pytest.raises(pickle.UnpicklingError, match="beginning of a new frame before end of current frame"):
        frames.load_frame(1)
    with pytest.raises(pickle.UnpicklingError, match="pickle exhausted before end of frame"):
        frames.readline()


def test_a_memory_is_a_dictionary_by_numbers() -> None:
    ours, theirs = Memo(), dict[int, int]()
    for number in (0, 1, 5, 3, 2, 1, 3, 4, 70, 6):
        ours[number] = theirs[number] = number * 10
        assert len(ours) == len(theirs)
        for key in range(-1, 80):
            if key in theirs:
                assert ours[key] == theirs[key]
            else:
                with pytest.raises(KeyError):
                    ours[key]


def test_a_memory_has_another_in_the_place_of_the_object_itself() -> None:
    ours, old, new = Memo(), object(), object()
    for number, value in ((0, 1), (1, old), (2, 1), (9, old)):
        ours[number] = value
    ours.replace(old, new)
    ours.replace(old, new)
    ours.replace(old, new)
    assert [ours[number] for number in (0, 1, 2, 9)] == [1, new, 1, new]
