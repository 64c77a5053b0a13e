"""gRPC in a front process: a call for a copy is answered here, any other by the main process, as bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import grpc

from server.api import request_ids
from server.api.grpc.callers import Callers
from server.api.grpc.infer_calls import Inference
from server.api.grpc.protos import HEALTH, INFER, SERVICE, STREAM
from server.api.grpc.service import ASKED_HOST, CLIENT, MADE_ID
from server.errors import InvalidInput, message
from server.frontends.copy_repository import CopyRepository

_INFER = f"/{SERVICE.full_name}/{INFER}"
_STREAM = f"/{SERVICE.full_name}/{STREAM}"
_WATCH = f"/{HEALTH.full_name}/Watch"
#: methods of which some depend on where the caller is
_GUARDED = (f"/{SERVICE.full_name}/Repository", f"/{SERVICE.full_name}/LogSettings")
#: metadata that a channel sets itself
_OURS = ("grpc-", ":")
_NOT_PASSED_ON = (CLIENT, MADE_ID, ASKED_HOST, "user-agent")
_NO_NAME = "?"  #: of a host that gRPC's metadata has no letters for
#: seconds; gRPC takes a deadline that is much further away for one that has passed
_LONGEST_DEADLINE = 366 * 24 * 3600.0
_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class GrpcProxy(grpc.GenericRpcHandler):
    """Every method of `inference.GRPCInferenceService`, and of gRPC's health service."""

    def __init__(self, copies: CopyRepository, directory: Path, callers: Callers | None = None) -> None:
        """Call it on the event loop. The main process asks for keys again where a call is handed on."""
        self._copies = copies
        self._callers = callers or Callers()
        self.inference = Inference(copies, self._callers)
        self._channel = grpc.aio.insecure_channel(f"unix:{directory / 'grpc'}", options=_UNLIMITED)
        self._methods = {name: self._channel.unary_unary(name) for name in _names()}
        self._stream = self._channel.stream_stream(_STREAM)
        self._watch = self._channel.unary_stream(_WATCH)
        self._handlers = {name: self._handler(name) for name in _names()}
        self._handlers[_STREAM] = grpc.stream_stream_rpc_method_handler(self._hand_on_stream)
        self._handlers[_WATCH] = grpc.unary_stream_rpc_method_handler(self._hand_on_watch)

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler[Any, Any] | None:
        return self._handlers.get(handler_call_details.method)

    def _handler(self, method: str) -> grpc.RpcMethodHandler[Any, Any]:
        async def hand_on(raw: bytes, context: Any) -> bytes:
            return await self._hand_on(method, raw, context)

        return grpc.unary_unary_rpc_method_handler(self._infer if method == _INFER else hand_on)

    async def _infer(self, raw: bytes, context: Any) -> bytes:
        try:
            here = self._copies.answers_whole(*self.inference.asked(raw))
        except InvalidInput:
            here = True  # it is refused there
        if here:
            return await self.inference.infer(raw, context)  # type: ignore[no-any-return]
        return await self._hand_on(_INFER, raw, context)

    async def _hand_on_stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Models that answer in parts are the main process's: each part is passed on as it comes.

        gRPC cancels this where the caller leaves, and with it the call that it has begun.
        """
        metadata = await self._metadata(context)
        call = self._stream(requests, metadata=metadata, timeout=_timeout(context.time_remaining()))
        async for part in _parts(call, context):
            yield part

    async def _hand_on_watch(self, raw: bytes, context: Any) -> AsyncIterator[bytes]:
        metadata = await self._metadata(context)
        async for part in _parts(self._watch(raw, metadata=metadata, timeout=None), context):
            yield part

    async def _hand_on(self, method: str, raw: bytes, context: Any) -> bytes:
        metadata = await self._metadata(context)
        if method.startswith(_GUARDED):
            metadata.append((CLIENT, context.peer()))
            if (asked := getattr(context, "authority", None)) is not None:  # grpc.aio does not tell
                metadata.append((ASKED_HOST, asked if _is_sendable(asked) else _NO_NAME))
            if not any(key == request_ids.NAME for key, _ in context.invocation_metadata() or ()):
                metadata.append((MADE_ID, "1"))
        call = self._methods[method](raw, metadata=metadata, timeout=_timeout(context.time_remaining()))
        try:
            answer: bytes = await call
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "", error.trailing_metadata() or ())
            raise  # `abort` has raised
        return answer

    async def _metadata(self, context: Any) -> list[tuple[str, str | bytes]]:
        """The caller's metadata, for the main process; a caller whose metadata gRPC does not send is told so."""
        try:
            metadata = list(_passed_on(await self._callers.attend(context)))
        except InvalidInput as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, message(error))
            raise  # `abort` has raised
        if key := next((key for key, value in metadata if not _is_sendable(value)), None):
            why = f"metadata {key!r} is not printable ASCII: send it as {key}-bin"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)
        return metadata


async def _parts(call: Any, context: Any) -> AsyncIterator[bytes]:
    """What a call answers, part by part, and how it ends."""
    try:
        async for part in call:
            yield part
    except grpc.aio.AioRpcError as error:
        await context.abort(error.code(), error.details() or "", error.trailing_metadata() or ())
    finally:
        call.cancel()


def _timeout(remaining: float | None) -> float | None:
    """The seconds that a call handed on may take; None: as long as it does."""
    return None if remaining is None or remaining > _LONGEST_DEADLINE else remaining


def _names() -> Iterable[str]:
    """The methods that take one message and give one."""
    methods = [method for service in (SERVICE, HEALTH) for method in service.methods if not method.server_streaming]
    return [f"/{method.containing_service.full_name}/{method.name}" for method in methods]


def _passed_on(metadata: Iterable[tuple[str, str | bytes]]) -> Iterable[tuple[str, str | bytes]]:
    return ((key, value) for key, value in metadata if not key.startswith(_OURS) and key not in _NOT_PASSED_ON)


def _is_sendable(value: str | bytes) -> bool:
    """Whether gRPC sends it: texts are printable ASCII (bytes are those of keys that end with -bin)."""
    return isinstance(value, bytes) or (value.isascii() and value.isprintable())
