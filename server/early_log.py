"""Keeps what is logged before KServe has set up logging, which it does once it is imported.

Models are found, downloaded and tried meanwhile, and what is said of them must not get lost.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("kserve")


@contextmanager
def kept() -> Iterator[None]:
    """Within, lines are kept; at the end they go where, and as far as, logging was set up to.

    They are kept by a filter: KServe sets up no logging where its logger has a handler already.
    """
    records: list[logging.LogRecord] = []
    level = log.level

    def keep(record: logging.LogRecord) -> bool:
        records.append(record)
        return False

    log.addFilter(keep)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeFilter(keep)
        if not log.handlers:  # nobody has set it up
            log.setLevel(level)
        for record in records:
            if log.isEnabledFor(record.levelno):
                log.handle(record)
