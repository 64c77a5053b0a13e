"""What `polyserve doctor` looks at: each fact with its value, whether that is well, and what to do if it is not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import resource
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from adapters import registry
from server import __version__
from server.config.memory_size import memory_limit
from server.config.settings import Settings
from server.runtime.cache_dir import cache_directory
from server.text import size

State = Literal["ok", "missing", "bad"]

_PYTHONS = ((3, 11), (3, 14))  #: from, and below
_NEEDED = ("kserve", "numpy", "orjson", "uvicorn", "grpcio", "msgpack")
_FEWEST_DESCRIPTORS = 1024
_LEAST_MEMORY, _LEAST_DISK = 512 * 2**20, 2**30


@dataclass(frozen=True)
class Fact:
    """One line of the report."""

    name: str
    value: str
    state: State = "ok"
    advice: str = ""

    def to_fields(self) -> dict[str, Any]:
        """As JSON."""
        return {"value": self.value, "state": self.state, "advice": self.advice}


def machine() -> list[Fact]:
    """The program, the machine and its limits."""
    return [_polyserve(), _python(), _packages(), _cores(), _memory(), _descriptors(), _cache(), _uv(), *_ports()]


def frameworks() -> list[Fact]:
    """Each adapter, with the versions of what it needs. Nothing is imported."""
    return [_framework(name, tuple(adapter.requires)) for name, adapter in registry.adapters().items()]


def _framework(name: str, modules: Sequence[str]) -> Fact:
    absent = [module for module in modules if importlib.util.find_spec(module) is None]
    packages = [registry.DISTRIBUTION.get(module, module) for module in modules]
    versions = ", ".join(
        _versioned(package) for package, module in zip(packages, modules, strict=True) if module not in absent
    )
    if not absent:
        return Fact(name, versions or "needs no framework")
    missing = " ".join(registry.DISTRIBUTION.get(module, module) for module in absent)
    return Fact(name, versions, "missing", f"pip install {missing}")


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _versioned(package: str) -> str:
    known = {package, *(each.lower() for each in _distributions().get(package, ()))}
    for name in sorted(known, key=len):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return package


def _polyserve() -> Fact:
    return Fact("polyserve", __version__)


def _python() -> Fact:
    version = platform.python_version()
    if _PYTHONS[0] <= sys.version_info[:2] < _PYTHONS[1]:
        return Fact("Python", f"{version} ({sys.executable})")
    return Fact("Python", version, "bad", "take Python 3.11 to 3.13")


def _packages() -> Fact:
    found, absent = [], []
    for name in _NEEDED:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
    if absent:
        return Fact("packages", ", ".join(found), "bad", f"pip install {' '.join(absent)}")
    return Fact("packages", ", ".join(found))


def _cores() -> Fact:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return Fact("cores", f"{usable} of {os.cpu_count()}" + (f", OMP_NUM_THREADS={threads}" if threads else ""))


def _memory() -> Fact:
    limit = memory_limit()
    if limit < _LEAST_MEMORY:
        return Fact("memory", size(limit), "bad", f"give the container {size(_LEAST_MEMORY)} or more")
    return Fact("memory", size(limit))


def _descriptors() -> Fact:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FEWEST_DESCRIPTORS:
        advice = f"ulimit -n {_FEWEST_DESCRIPTORS} or more: each connection takes one"
        return Fact("open files", f"{soft} of {hard}", "bad", advice)
    return Fact("open files", "no limit" if soft == resource.RLIM_INFINITY else f"{soft} of {hard}")


def _cache() -> Fact:
    folder = cache_directory("models").parent
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    value = f"{folder}, {size(free)} free"
    if free < _LEAST_DISK:
        return Fact("cache", value, "bad", "make room, or set CACHE_DIRECTORY: downloads and environments go there")
    return Fact("cache", value)


def _uv() -> Fact:
    if importlib.util.find_spec("uv") is not None or shutil.which("uv"):
        return Fact("uv", _versioned("uv"))
    return Fact("uv", "", "missing", "pip install uv: models with a requirements.txt get environments by it")


def _ports() -> list[Fact]:
    return [_port(name, port) for name, port in (("REST port", Settings.http_port), ("gRPC port", Settings.grpc_port))]


def _port(name: str, port: int) -> Fact:
    flag = "--http_port" if name == "REST port" else "--grpc_port"
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("", port))
        except OSError:
            return Fact(name, f"{port} is taken", "missing", f"perhaps by a server that runs: another one needs {flag}")
    return Fact(name, f"{port} is free")
