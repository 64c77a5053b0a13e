"""Which versions of its libraries made a pickle, and in which environment they work. Imports no framework."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from adapters.base import Origin
from adapters.formats.pickles import Contents, opened

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
_FIRST_BUILD = {(3, 11): (1, 1, 3), (3, 12): (1, 3, 1), (3, 13): (1, 5, 2)}

#: a booster in a pickle as XGBoost wrote it until 1.5, and the version that JSON of those days ends with
_OLD_BOOSTER = re.compile(rb'CONFIG-offset:|\{"Config":')
_BOOSTER_VERSION = re.compile(rb'"version":\[(\d+),(\d+),(\d+)\]')
_CHUNK = 1 << 20
_OVERLAP = 64  #: more than the expressions above match

#: pandas 3 spells its classes as one imports them, and keeps texts as Arrow does
_NEW_PANDAS = re.compile(r"pandas\.(?:[A-Z]\w*|arrays\.\w+)|pyarrow\..+")
_OLD_PANDAS = re.compile(r"[12]\.")

#: an environment in which XGBoost until 1.5 works; it imports pkg_resources
_OLD_XGBOOST = ("scikit-learn<1.3", "numpy<1.25", "scipy<1.11", "pandas<2", "setuptools<81")


def origin_of(contents: Contents, path: Path) -> Origin | None:
    """What made a pickle, where its libraries promise nothing for the installed versions: scikit-learn for another
    minor version, XGBoost for pickled boosters from before 1.6, pandas for those of version 3. None where they do, or
    nothing is known.
    """
    if contents.uses("xgboost") and (version := _old_booster(path)):
        lines = [f"xgboost=={version}", *_OLD_XGBOOST]
        return Origin(f"XGBoost {version}", _installed("xgboost"), "\n".join(lines))
    pandas = _installed("pandas")
    if _OLD_PANDAS.match(pandas) and any(map(_NEW_PANDAS.fullmatch, contents.names)):
        made_with = [f"scikit-learn=={contents.sklearn_version}"] if contents.sklearn_version else []
        return Origin("pandas 3", f"pandas {pandas}", "\n".join(["pandas>=3", "pyarrow", *made_with]))
    made, installed = contents.sklearn_version, _installed("scikit-learn")
    if made is None or not installed or (release := _RELEASE.fullmatch(made)) is None:
        return None
    if installed.split(".")[:2] == [release[1], release[2]]:
        return None
    python = sys.version_info[:2]
    if tuple(int(part or 0) for part in release.groups()) < _FIRST_BUILD.get(python, (0,)):
        none = f"for which no build for Python {python[0]}.{python[1]} exists"
        return Origin(f"scikit-learn {made}", installed, problem=none)
    numpy = ["numpy>=2"] if contents.uses("numpy._core") else []  # which NumPy 1 does not have
    return Origin(f"scikit-learn {made}", installed, "\n".join([requirements_of(made), *numpy]))


def requirements_of(version: str) -> str:
    """The requirements of an environment in which this version of scikit-learn works."""
    major, minor = (int(part) for part in version.split(".")[:2])
    lines = [f"scikit-learn=={version}"]
    if until := _UNTIL.get((major, minor)):
        lines += [f"numpy<{until[0]}", f"scipy<{until[1]}"]
    return "\n".join(lines)


@cache
def _installed(distribution: str) -> str:
    """The installed version, or ""."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _old_booster(path: Path) -> str:
    """The version of the XGBoost before 1.6 that pickled a booster in this file, or ""."""
    old, version = False, ""
    for window in _windows(path):
        old = old or _OLD_BOOSTER.search(window) is not None
        for match in _BOOSTER_VERSION.finditer(window) if old else ():
            version = ".".join(part.decode() for part in match.groups())
    return version if old else ""


def _windows(path: Path) -> Iterator[bytes]:
    """The file, decompressed, in pieces that overlap."""
    tail = b""
    with opened(path) as stream:
        while chunk := stream.read(_CHUNK):
            yield tail + chunk
            tail = chunk[-_OVERLAP:]
