"""Methods that nobody serves: a call of one is told which is meant, probably."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc

from server.api.grpc.protos import INFER, SERVICE
from server.text import printable

__all__ = ["MissingMethods", "missing"]


def missing(method: str) -> str:
    """The details of the status, which is UNIMPLEMENTED."""
    return f"there is no method {printable(method)} here; /{SERVICE.full_name}/{INFER} predicts"


class MissingMethods(grpc.GenericRpcHandler):
    """Answers for whatever the handlers before it do not."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        details = missing(handler_call_details.method)

        async def refuse(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]) -> None:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, details)

        return grpc.stream_stream_rpc_method_handler(refuse)
