"""Our own packages, for interpreters that this process starts: from where it has them itself, whatever else is there.

In a checkout they are `server` and `adapters`, names that other people's packages have, too: there the folder that
holds them has to come first. A wheel has them inside a package of our own (`setup.py`), which clashes with nobody.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

_PACKAGE = __name__.split(".")
#: the folder that holds our packages
SOURCE_ROOT = Path(__file__).resolve().parents[len(_PACKAGE) - 1]
#: whether they stand inside one of our own
IS_INSTALLED = _PACKAGE[0] != "server"
#: the packages in that folder
OWN_NAMES = (_PACKAGE[0],) if IS_INSTALLED else ("server", "adapters")
#: what comes first on the path of a fresh interpreter; "": nothing has to
FIRST_ON_PATH = "" if IS_INSTALLED else str(SOURCE_ROOT)

_RUN = (
    "import runpy, sys; first, module = sys.argv[1:3]; del sys.argv[1:3]; "
    "sys.path[:0] = [first] if first else []; runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


def module_command(module: str, *arguments: str) -> Sequence[str]:
    """The command line that runs one of our modules in an interpreter like this one."""
    return (sys.executable, "-P", "-u", "-c", _RUN, FIRST_ON_PATH, module, *arguments)
