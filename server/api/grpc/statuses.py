"""Errors over gRPC: each is a status and a message."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from server.api.kserve.host import ModelNotFound
from server.errors import NotFound, ServingError, as_serving_error, message

log = logging.getLogger("kserve")


def known_error(error: Exception, method: str) -> ServingError:
    """The error of ours that a client is told of."""
    if isinstance(error, ModelNotFound):
        return NotFound(str(error))
    if not isinstance(error, ServingError):
        log.error("gRPC %s failed", method, exc_info=error)
    return as_serving_error(error)


def with_status(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Every failure of a method becomes a gRPC status with its message."""

    async def answered(self: Any, *request: Any) -> Any:
        try:
            return await method(self, *request)
        except grpc.aio.AbortError:  # a method within has told the client, of grpc.aio's server
            raise
        except Exception as error:
            known = known_error(error, method.__name__)
        context: grpc.aio.ServicerContext[Any, Any] = request[-1]
        return await context.abort(getattr(grpc.StatusCode, known.grpc), message(known))

    return answered
