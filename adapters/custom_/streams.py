"""What a user's hook yields, item by item and each encoded, wherever its steps have to run.

    a generator, any iterator      its steps run in one thread, which the stream has for itself
    an asynchronous one            its steps run in the task that takes the parts

A step is taken when a part is asked for, and not before. The user's generator is closed however the stream ends, so its
`finally` blocks run.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol, Self

#: what `next` answers when there is nothing more
END: Final = object()


class Items(Protocol):
    """What is yielded; one task at a time takes and closes it."""

    async def next(self) -> Any:
        """The next item, or END. Raises what the user's code raises."""

    async def close(self) -> None:
        """Close the user's generator, once the step that it is at is over."""


def items_of(result: Any) -> Items | None:
    """The items of what a hook returned, or None when that is an answer in one part."""
    if isinstance(result, AsyncIterator):
        return AsyncItems(result)
    return ThreadItems(result) if isinstance(result, Iterator) else None


class AsyncItems:
    """Those of an asynchronous iterator. To cancel the task is to cancel the step."""

    def __init__(self, items: AsyncIterator[Any]) -> None:
        self._items = items

    async def next(self) -> Any:
        return await anext(self._items, END)

    async def close(self) -> None:
        if (close := getattr(self._items, "aclose", None)) is not None:
            await close()


class ThreadItems:
    """Those of a plain iterator, whose steps may block.

    One thread for all of its steps: what a generator sets for its thread (`with torch.inference_mode():`) holds from
    one step to the next. The context variables are the request's. A step that is cancelled runs to its end.
    """

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._context = contextvars.copy_context()
        self._thread = ThreadPoolExecutor(1, "stream")

    async def next(self) -> Any:
        return await self._run(next, self._items, END)

    async def close(self) -> None:
        try:
            if (close := getattr(self._items, "close", None)) is not None:
                await self._run(close)
        finally:
            self._thread.shutdown(wait=False)

    async def _run(self, step: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._context.run, step, *arguments)


class EncodedParts:
    """`adapters.base.Parts`: the items, each encoded when its turn comes."""

    def __init__(
        self, items: Items, encode: Callable[[Any], bytes], failure: Callable[[BaseException], Exception]
    ) -> None:
        """`failure` is what to raise for an exception of the user's code, or of `encode`."""
        self._items = items
        self._encode = encode
        self._failure = failure
        self._first: bytes | None = None
        self._over = False

    async def begin(self) -> Self:
        """Make the first part, whose errors are raised as they are."""
        try:
            self._first = await self._make()
        except BaseException:
            await self.aclose()
            raise
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        part, self._first = self._first, None
        if part is None and not self._over:
            try:
                part = await self._make()
            except (Exception, SystemExit, KeyboardInterrupt) as error:
                self._over = True
                raise self._failure(error) from error
        if part is None:
            raise StopAsyncIteration
        return part

    async def aclose(self) -> None:
        self._over, self._first = True, None
        await self._items.close()

    async def _make(self) -> bytes | None:
        item = await self._items.next()
        self._over = item is END
        return None if self._over else self._encode(item)


async def only_item(items: Items) -> Any:
    """The one item that there is; END when there is another number of them."""
    try:
        first = await items.next()
        return first if first is not END and await items.next() is END else END
    finally:
        await items.close()
