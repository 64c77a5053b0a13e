"""What every process that runs Python has to read: the interpreter, libraries, what the system says about itself."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from server.runtime.own_code import OWN_NAMES, SOURCE_ROOT

_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store"),
    *(
        "/sys/devices",
        "/sys/fs/cgroup",
        "/sys/class",
        "/sys/bus",
        "/sys/module",
        "/sys/kernel/mm",
        "/sys/kernel/iommu_groups",
    ),
)
#: of /etc: what libraries look up; never all of it
_ETC = (
    *(
        "ld.so.cache",
        "ld.so.conf",
        "ld.so.conf.d",
        "ld.so.preload",
        "localtime",
        "timezone",
        "os-release",
        "mime.types",
    ),
    *(
        "ssl/certs",
        "ssl/openssl.cnf",
        "ca-certificates",
        "pki",
        "fonts",
        "alternatives",
        "locale.alias",
        "ImageMagick-6",
    ),
    *("nsswitch.conf", "passwd", "group", "hosts", "host.conf", "resolv.conf", "gai.conf", "services", "protocols"),
    *("debian_version", "lsb-release", "redhat-release", "system-release", "alpine-release"),
    *("OpenCL", "vulkan", "magic", "inputrc"),
)
_RANDOM = ("/dev/zero", "/dev/random", "/dev/urandom")
#: devices that are read and written: nothing, and accelerators
_DEVICES = ("/dev/null", "/dev/full", "/dev/nvidia*", "/dev/dri", "/dev/kfd", "/dev/accel*")


def system_paths(python: Path, search: Sequence[str]) -> tuple[str, ...]:
    """Files and folders for an interpreter that looks for modules in `search`. Not all of them exist."""
    return tuple(dict.fromkeys((*_SYSTEM, *(f"/etc/{name}" for name in _ETC), *_RANDOM, *_of_python(python, search))))


def devices() -> tuple[str, ...]:
    """What may be written to, too."""
    return tuple(found for pattern in _DEVICES for found in sorted(glob.glob(pattern)))  # noqa: PTH207  (a pattern)


def _of_python(python: Path, search: Sequence[str]) -> Iterator[str]:
    yield from (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    yield str(python.parent.parent)  # an environment of a model's own
    yield str(Path(os.path.realpath(python)).parent.parent)
    yield from (str(SOURCE_ROOT / name) for name in OWN_NAMES)
    yield from (path for path in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if os.path.isabs(path))  # noqa: PTH117
    away = {str(SOURCE_ROOT), os.path.abspath("."), ""}  # noqa: PTH100  (a working directory may hold anything)
    yield from (path for path in search if path not in away and os.path.isabs(path))  # noqa: PTH117
