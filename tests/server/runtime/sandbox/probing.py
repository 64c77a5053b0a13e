"""Runs code in a confined interpreter, and tells what became of each thing it tried."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.runtime.sandbox.sandbox import Sandbox

#: how what is tried ended: a value, or the name of the exception and its number
_TRY = """
import ctypes, json, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def called(name, *arguments):
    result = getattr(libc, name)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result
def threaded(call):
    with __import__("concurrent.futures").futures.ThreadPoolExecutor() as pool:
        return pool.submit(call).result()
found = {}
for name, code in json.loads(sys.argv[1]).items():
    try:
        value = eval(code)
        found[name] = value if isinstance(value, (int, str, list, type(None))) else "done"
    except OSError as error:
        found[name] = f"{type(error).__name__} {error.errno}"
    except Exception as error:
        found[name] = type(error).__name__
print(json.dumps(found))
"""

DENIED = ("PermissionError 1", "PermissionError 13")


def tried(sandbox: Sandbox, attempts: Mapping[str, str], readable: tuple[Path, ...] = (), **wanted: Any) -> Any:
    """What became of each expression in a process that is confined like this."""
    confinement = sandbox.confinement(readable, **wanted)
    assert confinement is not None
    try:
        command = confinement.command([sys.executable, "-c", _TRY, json.dumps(dict(attempts))])
        environ = confinement.environ(os.environ)
        ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)
    finally:
        confinement.close()


def tried_as_reader(user: int, attempts: Mapping[str, str]) -> Any:
    """The same in a process that has gone on as this user, who may read."""
    begin = f"from server.runtime.sandbox.capabilities import become_reader; become_reader({user})"
    command = [sys.executable, "-c", f"{begin}\n{_TRY}", json.dumps(dict(attempts))]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
