"""What a method's code may do with its context."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from server.api.grpc.native.call_context import Aborted, CallContext


def test_the_context() -> None:
    begun: list[Any] = []

    async def run() -> None:
        context = CallContext((("a", "b"),), "unix:", lambda: 7.0, begun.append)
        assert context.invocation_metadata() == (("a", "b"),)
        assert (context.peer(), context.time_remaining()) == ("unix:", 7.0)
        await context.send_initial_metadata((("c", "d"),))
        context.set_trailing_metadata((("e", "f"),))
        with pytest.raises(Aborted):
            await context.abort(grpc.StatusCode.ABORTED, "why")
        assert (context.status, context.details, context.trailing) == ("ABORTED", "why", (("e", "f"),))

    asyncio.run(run())
    assert begun == [(("c", "d"),)]


def test_an_abort_is_nobodys_failure() -> None:
    """`except Exception` around a method does not make another error of it."""
    assert not issubclass(Aborted, Exception)
