"""How an answer in parts ends, as it is counted: once, with the status of its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from adapters.base import InvalidInput as Refused
from adapters.base import StreamFailed
from server.errors import DeadlineExceeded, InvalidInput, ModelFailed, ServingError
from server.inference.stream_parts import CountedParts, ShownParts, SinglePart


async def parts(error: Exception | None = None) -> AsyncGenerator[bytes, None]:
    yield b"1"
    if error is not None:
        raise error


def ended(error: Exception | None, take: Callable[[CountedParts], AsyncGenerator[bytes, None]] | None) -> list[int]:
    """The statuses that were counted."""
    statuses: list[int] = []

    async def main() -> None:
        counted = CountedParts(parts(error), statuses.append)
        try:
            assert [part async for part in counted] == [b"1"] if take is None else await anext(counted) == b"1"
        finally:
            assert not statuses
            await counted.aclose()
            await counted.aclose()  # what closes twice counts once

    asyncio.run(main())
    return statuses


def test_one_that_was_taken_to_its_end() -> None:
    assert ended(None, None) == [200]


def test_one_that_was_left_before() -> None:
    assert ended(None, lambda counted: counted) == [499]  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StreamFailed("as it chose"), ModelFailed),
        (KeyError("a fault"), ServingError),
        (Refused("too long"), InvalidInput),
        (DeadlineExceeded("late"), DeadlineExceeded),
    ],
)
def test_one_that_fails_has_the_status_of_its_error(error: Exception, kind: type[ServingError]) -> None:
    statuses: list[int] = []

    async def main() -> ServingError:
        counted = CountedParts(parts(error), statuses.append)
        assert await anext(counted) == b"1"
        with pytest.raises(kind) as failure:
            await anext(counted)
        await counted.aclose()
        return failure.value

    failure = asyncio.run(main())
    assert statuses == [failure.status]
    assert failure is error or failure.__cause__ is error


def test_a_whole_answer_is_a_stream_of_one_part() -> None:
    async def main() -> list[bytes]:
        single = SinglePart(b"all")
        found = [part async for part in single]
        await single.aclose()
        return found

    assert asyncio.run(main()) == [b"all"]


def test_who_looks_at_parts_and_fails_takes_none_away() -> None:
    seen: list[bytes] = []

    def fails(part: bytes) -> None:
        raise ZeroDivisionError

    async def main() -> list[bytes]:
        shown = ShownParts(parts(), [fails, seen.append])
        try:
            return [part async for part in shown]
        finally:
            await shown.aclose()

    assert asyncio.run(main()) == seen == [b"1"]
