"""After `settle`, what was there before is no garbage collector's business any more."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import gc, resource, server.memory
server.memory.limit_arenas()
before = [object() for _ in range(100)], {str(n): [n] for n in range(50_000)}
server.memory.settle()
assert gc.get_freeze_count() > 50_000, gc.get_freeze_count()
assert gc.get_threshold()[0] >= 10_000
print(len(gc.get_objects()))
"""


def test_what_was_loaded_is_frozen() -> None:
    answer = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 5_000
