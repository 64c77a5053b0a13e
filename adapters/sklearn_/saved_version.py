"""Which older version of scikit-learn saved the estimators of a file: it warns of it as each of them is loaded.

What becomes of a warning is up to filters that the whole process shares. Another thread that changes them for a moment,
as Pydantic does while routes are made, takes the warning from whoever waits for it, so it is noted where it is made.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

logger = logging.getLogger(__name__)


class _Loading(threading.local):
    versions: set[str] | None = None  #: of what this thread has loaded so far; None: it loads nothing


_loading = _Loading()


@contextmanager
def note_versions(file: str) -> Iterator[None]:
    """What scikit-learn says, while an estimator is loaded, of the older version that saved it goes to the log."""
    from sklearn import __version__

    _loading.versions = older = set[str]()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", _noted())  # the log says it better
            yield
    finally:
        _loading.versions = None
    if older:
        saved = ", ".join(sorted(older))
        logger.warning("%s was saved by scikit-learn %s, and this is %s: answers may differ", file, saved, __version__)


@cache
def _noted() -> Any:
    """The class of the warnings, which note themselves from now on."""
    from sklearn import base

    own: Any = getattr(base, "InconsistentVersionWarning", None)
    if own is None:  # before scikit-learn 1.3, whose warning does not tell the version apart
        return UserWarning

    class InconsistentVersionWarning(own):
        def __init__(self, **told: Any) -> None:
            super().__init__(**told)
            if _loading.versions is not None:
                _loading.versions.add(str(self.original_sklearn_version))

    base.InconsistentVersionWarning = InconsistentVersionWarning
    return InconsistentVersionWarning
