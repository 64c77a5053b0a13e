"""KServe's server, which ours is made of; import it within `argv.arguments` only, as it parses `sys.argv`."""

from __future__ import annotations

import warnings

import kserve.model_server
from fastapi import FastAPI
from fastapi.exceptions import FastAPIDeprecationWarning
from kserve.model_server import ModelServer
from timing_asgi import TimingMiddleware

__all__ = ["ModelServer", "application", "without_timing"]


def application() -> FastAPI:
    """The application that KServe's routes are in, whoever made them."""
    warnings.filterwarnings("ignore", category=FastAPIDeprecationWarning)  # KServe's, no operator can act on it
    fast: FastAPI = kserve.model_server.app
    return fast


def without_timing(fast: FastAPI) -> None:
    """Take out what logs three lines for every request."""
    fast.user_middleware = [each for each in fast.user_middleware if each.cls is not TimingMiddleware]
