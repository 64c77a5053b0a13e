"""Which imports have been survived, on this machine and with these very libraries: a file of the cache for each set.

A library whose native code crashes as it is imported would end whoever imports it. The record is taken away while it is
relied upon, and put back afterwards: whoever ends over it leaves none, and the next one begins more carefully.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

from server.runtime.cache_dir import cache_directory

log = logging.getLogger("kserve")

_FOLDER = "imports"
_DISTRIBUTIONS = (".dist-info", ".egg-info")
#: variables that say which native code is loaded, and how it begins
_VARIABLES = ("LD_", "PYTHON", "OMP_", "KMP_", "MKL_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "GLIBC_", "MALLOC_")


class ImportRecord:
    """Whether these modules, in this order, have been imported before without harm."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def of(cls, modules: Sequence[str], environ: Mapping[str, str]) -> Self:
        """By what decides what their import does: interpreter, libraries, processor, kernel, variables."""
        basis = {
            "modules": list(modules),
            "python": [sys.version, os.path.realpath(sys.executable), sys.prefix],
            "libraries": sorted(_distributions(sys.path)),
            "machine": [*os.uname()[2:], _processor()],
            "variables": sorted(item for item in environ.items() if item[0].startswith(_VARIABLES)),
        }
        name = hashlib.sha256(json.dumps(basis).encode(errors="surrogateescape")).hexdigest()[:32]
        return cls(cache_directory(_FOLDER) / name)

    def take(self) -> bool:
        """Whether there is one; there is none until `keep`."""
        with contextlib.suppress(OSError):
            if self._path.lstat().st_uid == os.geteuid():  # where there is no cache, anybody may write
                self._path.unlink()
                return True
        return False

    def keep(self) -> None:
        """They have been imported, and nothing happened."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
        except OSError as error:
            log.debug("that imports went well cannot be written down: %s", error)


def _distributions(path: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The folders of what is installed, whose names have its versions, with their times."""
    for folder in path:
        with contextlib.suppress(OSError), os.scandir(folder or ".") as entries:
            yield from ((e.path, e.stat().st_mtime_ns) for e in entries if e.name.endswith(_DISTRIBUTIONS))


def _processor() -> str:
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
        told = ("model name", "flags", "Features", "CPU part")
        return "".join(line for _, line in zip(range(40), lines, strict=False) if line.startswith(told))
    return ""
