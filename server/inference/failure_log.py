"""A failed request in the log: one line, and the traceback once, from where it tells something."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from server.errors import ServingError
from server.workers.channels import ModelTrace

log = logging.getLogger("kserve")

#: of no request that has an identifier
NOBODYS: Mapping[str, str] = {"request_id": ""}

__all__ = ["log_failure"]


def log_failure(model: str, error: BaseException, of: Mapping[str, str] = NOBODYS) -> None:
    """Log that a model failed, at the request whose `log_fields` these are. Of a failure in a worker the worker's
    traceback is shown: the way through this process is always the same."""
    whose = dict(of)  # said, as this may run in the context of another request of the same call
    cause = error.__cause__
    if isinstance(cause, ModelTrace):
        stack = str(cause.args[0]).rstrip().replace("\n", "\n    ")  # whose text it is must not begin a line
        log.error("model %s failed: %s\n    %s", model, str(error).replace("\n", "\n    "), stack, extra=whose)
        return
    raised = cause if isinstance(error, ServingError) and cause is not None else error
    told = raised if not isinstance(raised, ServingError) else error
    log.error("model %s failed: %s: %s", model, type(told).__name__, told, exc_info=told, extra=whose)
