"""Asking a `Batcher` without a served model around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from adapters.base import Tensors
from server.codec.decoded_request import DecodedRequest
from server.errors import ServingError
from server.inference.batching.batcher import Batcher
from server.inference.batching.merging import Outcome
from server.inference.batching.queue import IsDisconnected, QueuedRequest, into, never_disconnected
from server.inference.batching.tuning import Tuning

#: every call counts as short: a machine that pauses makes none of them long
ALL_SHORT = Tuning(inline_seconds=1e9)


def put(
    batcher: Batcher,
    decoded: DecodedRequest,
    done: Callable[[Outcome], None],
    is_disconnected: IsDisconnected = never_disconnected,
) -> QueuedRequest:
    """Queue a request; `done` takes its outcome."""
    request = QueuedRequest(decoded, done, is_disconnected)
    batcher.put(request)
    return request


async def submit(
    batcher: Batcher, decoded: DecodedRequest, is_disconnected: IsDisconnected = never_disconnected
) -> Tensors:
    """The model's outputs for one request; whoever stops waiting has it dropped.

    Raises:
        ServingError: QueueFull, DeadlineExceeded, ModelFailed, InvalidInput (the model's own refusal).
    """
    future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    request = put(batcher, decoded, into(future), is_disconnected)
    try:
        outcome = await future
    except asyncio.CancelledError:
        batcher.drop(request)
        raise
    if isinstance(outcome, ServingError):
        raise outcome
    return outcome
