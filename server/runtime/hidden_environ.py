"""The server's secrets, kept out of its memory until the processes that must not have them have been forked.

    hide     the process becomes a new one, of the same number and command line, whose environment lacks them: they lie
             in a nameless file that only it has open
    reveal   they are in `os.environ` again, as if they had never been away

A fork has a copy of all memory, and an environment that was once there cannot be wiped out of it for sure.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from server.runtime.secret_names import is_secret

__all__ = ["hide", "reveal", "secrets_in"]

#: settings whose names are those of secrets: paths of files, and a yes or no
_HARMLESS = frozenset({
    "POLYSERVE_ALLOW_CREDENTIALS", "POLYSERVE_API_KEYS_FILE", "POLYSERVE_SSL_KEYFILE", "POLYSERVE_VERIFY_KEY",
})  # fmt: skip
_VARIABLE = "_POLYSERVE_HIDDEN"  #: the descriptor of the file
_MOST = 2**22  #: bytes; Linux gives a process's environment less


def secrets_in(environ: Mapping[str, str]) -> list[str]:
    """The variables of an environment that no child may see, by name."""
    return [name for name, value in environ.items() if is_secret("" if name in _HARMLESS else name, value)]


def hide() -> None:
    """Start this process anew without its secrets, if it has any. Returns where there are none, or it cannot be done.

    Only for a process that has done nothing yet, and is known by its own command line.
    """
    names = secrets_in(os.environ)
    if not names or not sys.orig_argv or _VARIABLE in os.environ:
        return
    kept = {name: value for name, value in os.environ.items() if name not in names}
    hidden = os.memfd_create("environ", 0)
    os.write(hidden, b"\0".join(os.fsencode(f"{name}={os.environ[name]}") for name in names))
    try:
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**kept, _VARIABLE: str(hidden)})
    except OSError:
        os.close(hidden)


def reveal() -> None:
    """Have the secrets in the environment again, if they were hidden."""
    if (number := os.environ.pop(_VARIABLE, None)) is None:
        return
    hidden = int(number)
    try:
        lines = os.pread(hidden, _MOST, 0).split(b"\0")
    finally:
        os.close(hidden)
    for line in lines:
        name, _, value = os.fsdecode(line).partition("=")
        os.environ[name] = value
