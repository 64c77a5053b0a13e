"""Which version of scikit-learn made a pickle, and in which environment that version works. Imports no framework."""

from __future__ import annotations

import importlib.metadata
import re
import sys

from adapters.base import Origin
from adapters.pickles import Contents

__all__ = ["origin_of", "requirements_of"]

_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(?:\.post\d+|rc\d+)?")

#: scikit-learn's minor versions -> the first NumPy and SciPy that came after them, and may break them
_UNTIL = {
    (1, 1): ("1.25", "1.11"),
    (1, 2): ("1.25", "1.11"),
    (1, 3): ("2", "1.12"),
    (1, 4): ("2.2", "1.14"),
    (1, 5): ("2.2", "1.15"),
    (1, 6): ("2.3", "1.16"),
    (1, 7): ("2.4", "1.17"),
    (1, 8): ("2.5", "1.18"),
}
#: Python's minor versions -> the first scikit-learn that was built for them
_FIRST_BUILD = {(3, 11): (1, 1, 3), (3, 12): (1, 3, 1)}


def origin_of(contents: Contents) -> Origin | None:
    """What made a pickle, where that is another minor version than the installed one: scikit-learn promises nothing
    then. None where it is the same, unknown, or scikit-learn is not installed.
    """
    made = contents.sklearn_version
    if made is None or (release := _RELEASE.fullmatch(made)) is None:
        return None
    try:
        installed = importlib.metadata.version("scikit-learn")
    except importlib.metadata.PackageNotFoundError:
        return None
    if installed.split(".")[:2] == [release[1], release[2]]:
        return None
    python = sys.version_info[:2]
    if tuple(int(part or 0) for part in release.groups()) < _FIRST_BUILD.get(python, (0,)):
        why_not = f"for which no build for Python {python[0]}.{python[1]} exists: retrain it, or save it anew"
        return Origin(f"scikit-learn {made}", installed, problem=f"{why_not} with a newer version")
    numpy = "numpy>=2" if contents.uses("numpy._core") else ""
    return Origin(f"scikit-learn {made}", installed, f"{requirements_of(made)}\n{numpy}".strip())


def requirements_of(version: str) -> str:
    """The requirements of an environment in which this version of scikit-learn works."""
    major, minor = (int(part) for part in version.split(".")[:2])
    lines = [f"scikit-learn=={version}"]
    if until := _UNTIL.get((major, minor)):
        lines += [f"numpy<{until[0]}", f"scipy<{until[1]}"]
    return "\n".join(lines)
