"""A failed request in the log: one line, and the traceback once, from where it tells something."""

from __future__ import annotations

import logging

from server.workers.channels import ModelTrace

log = logging.getLogger("kserve")

__all__ = ["log_failure"]


def log_failure(model: str, error: BaseException) -> None:
    """Log that a model failed. Of a failure in a worker the worker's traceback is shown: the way through this process
    is always the same."""
    cause = error.__cause__
    if isinstance(cause, ModelTrace):
        stack = str(cause.args[0]).rstrip().replace("\n", "\n    ")  # whose text it is must not begin a line
        log.error("model %s failed: %s\n    %s", model, str(error).replace("\n", "\n    "), stack)
    else:
        log.error("model %s failed: %s: %s", model, type(error).__name__, error, exc_info=error)
