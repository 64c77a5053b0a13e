"""Where things lie. Everything that is made here goes under `.bench/`, which git ignores and anyone may delete."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
RESULTS = HERE / "RESULTS.md"
POST_LUA = HERE / "post.lua"

CACHE = REPOSITORY / ".bench"
MODELS = CACHE / "models"  #: every model, a folder each
EXPECTED = CACHE / "expected"  #: what the framework itself answers, a file for each model and number of rows
RUN = CACHE / "run"  #: what one run serves and sends
LOGS = CACHE / "logs"  #: the output of each system
