"""KServe's application without what costs every request three lines of the log."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_timing_is_taken_out_and_nothing_else() -> None:
    """In a process of its own: `kserve.model_server` parses the command line that imports it."""
    code = (
        "from server.api.kserve.frame import application, without_timing\n"
        "from fastapi import FastAPI\n"
        "from fastapi.middleware.gzip import GZipMiddleware\n"
        "from timing_asgi import TimingMiddleware\n"
        "assert isinstance(application(), FastAPI)\n"
        "fast = FastAPI()\n"
        "fast.add_middleware(TimingMiddleware, client=None)\n"
        "fast.add_middleware(GZipMiddleware)\n"
        "without_timing(fast)\n"
        "print([each.cls.__name__ for each in fast.user_middleware])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "['GZipMiddleware']"
