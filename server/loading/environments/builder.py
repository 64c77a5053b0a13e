"""Requirements to the interpreter of a virtual environment that has them, built once and kept.

    <directory>/<hash>/            an environment; complete once it holds polyserve.json, which is written last
    <directory>/<hash>.lock        held by whoever builds it, and by the installer that it started
    <directory>/.uv                uv's cache, on the same file system, so that environments share files by hard links

The hash covers the requirements, the model's own wheels that they name, the interpreter, the platform and the versions
of the server's packages. An environment is built in its final place (its scripts know that place), and is removed and
built anew where the last record is missing: a build that was killed half-way is never used.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from adapters.base import LoadError, ModelDir
from server.loading.environments.command import Commands
from server.loading.environments.install import Installation, Installer
from server.loading.environments.pip_settings import PipSettings
from server.loading.environments.requirements import Requirements
from server.loading.environments.shared_packages import Base, check_installed, remove_receipts
from server.runtime.cache_dir import cache_directory, forbids_execution
from server.runtime.own_code import OWN_NAMES, SOURCE_ROOT
from server.runtime.sandbox.sandbox import NO_SANDBOX, Sandbox
from server.workers.launch import OURS, our_packages

log = logging.getLogger("kserve")

RECORD = "polyserve.json"
#: our packages, which a worker in an environment imports
_OURS = tuple(SOURCE_ROOT / name for name in OWN_NAMES)
_SHARED = "shared"  #: the folder of links to what the server shares
_KEPT = (_SHARED, OURS)
_PATHS = "polyserve-shared.pth"
_DRAFT = ".draft"
_FORMAT = 1  #: of the environments that this code builds; part of the hash
_POLL = 0.1  #: seconds between two attempts at a lock


class Environments:
    """Builds environments into a directory (None: a default) that any number of servers may share. Thread-safe.

    `wheelhouse` makes it work offline: packages come from that directory of wheels alone. `timeout` is the seconds that
    a build may take, the wait for somebody else's included.
    """

    def __init__(
        self,
        directory: Path | None,
        wheelhouse: Path | None = None,
        base: Base | None = None,
        timeout: float = 900.0,
        sandbox: Sandbox = NO_SANDBOX,
    ) -> None:
        self._named = directory
        self._wheelhouse = wheelhouse
        self._base = base or Base.here()
        self._timeout = timeout
        self._sandbox = sandbox
        self._commands = Commands()

    @cached_property
    def _directory(self) -> Path:
        return (self._named or cache_directory("environments")).absolute()

    @cached_property
    def _installer(self) -> Installer:
        return Installer(self._wheelhouse, self._directory / ".uv", self._commands, self._sandbox)

    def python(self, model_name: str, requirements: str, directory: ModelDir | None = None) -> Path:
        """The interpreter of an environment that has what `requirements` (a requirements file's text) ask for.

        Blocks while it is built. `directory` is the model's own, within which the requirements may name wheels.

        Raises:
            LoadError: the requirements ask for what they may not, or the installer failed, with the reason.
        """
        folder = None if directory is None else directory.path
        wanted = Requirements.read(requirements, folder, PipSettings.read(os.environ))
        if not wanted.lines:  # nothing but comments
            return Path(sys.executable)
        target = self._directory / self._hash(wanted)
        deadline = time.monotonic() + self._timeout
        try:
            self._make_directory()
            if found := self._complete(target):
                return found
            with _locked(target.with_suffix(".lock"), deadline, model_name) as lock:
                mount = None if directory is None else directory.root
                job = Installation(model_name, target / "bin" / "python", target, wanted, lock, deadline, mount, _KEPT)
                return self._complete(target) or self._build(job)
        except OSError as error:
            raise LoadError(
                f"its environment cannot be built in {self._directory}: {error.strerror or error}; "
                "--env_dir names another directory"
            ) from error

    def close(self) -> None:
        """End the builds that run; their callers get a LoadError."""
        self._commands.close()

    def _make_directory(self) -> None:
        """Written to by its owner alone: who can write there decides what models' processes run.

        Where these may have user ids of their own (the server is root), they can read it.
        """
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o755 if os.geteuid() == 0 else 0o700)
        temporary = self._directory.parent == Path(tempfile.gettempdir())  # where anybody may have made it before
        if temporary and self._directory.stat().st_uid != os.getuid():
            raise LoadError(f"{self._directory} belongs to another user: name another directory with --env_dir")

    def _hash(self, wanted: Requirements) -> str:
        basis = {
            "format": _FORMAT,
            "requirements": wanted.key,
            "python": [sys.version, os.path.realpath(sys.executable), sys.prefix],
            "platform": [sysconfig.get_platform(), *platform.libc_ver()],
            "ours": [str(package) for package in _OURS],
            "base": [[str(path) for path in self._base.sites], sorted(self._base.versions.items())],
        }
        return hashlib.sha256(json.dumps(basis, sort_keys=True).encode()).hexdigest()[:32]

    def _complete(self, target: Path) -> Path | None:
        """The interpreter of an environment that was built to its end, and whose base is still there."""
        python, record = target / "bin" / "python", target / RECORD
        if not record.is_file() or not os.access(python, os.X_OK):
            return None
        users = self._sandbox.users
        if users is not None and record.stat().st_uid in users:  # a build's own word, when the server ended over it
            return None
        with contextlib.suppress(OSError):  # a volume may be read-only
            os.utime(record)  # tells an operator who cleans up which ones are in use
        return python

    def _build(self, job: Installation) -> Path:
        count = len(job.requirements.lines)
        log.info("model %s: building its environment (%d requirement%s)", job.model, count, "s" * (count != 1))
        if forbids_execution(self._directory):
            log.warning(
                "model %s: %s is mounted noexec, so packages with native code will fail to import from it; mount a "
                "volume there, or name another directory with --env_dir", job.model, self._directory,
            )  # fmt: skip
        start = time.monotonic()
        _remove(job.folder)
        try:
            self._fill(job)
        except BaseException:
            _remove(job.folder)
            raise
        log.info("model %s: its environment is built, in %.1f s", job.model, time.monotonic() - start)
        return job.python

    def _fill(self, job: Installation) -> None:
        target = job.folder
        venv.EnvBuilder(symlinks=True, with_pip=False).create(target)
        packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(target), "platbase": str(target)}))
        if not job.requirements.hashed:  # then every package has to be the very file that the hash names
            self._base.write_receipts(packages)
        for name in _KEPT:  # they are there, and ours, before a stranger's code could put something else in their place
            (target / name).mkdir()
        (packages / _PATHS).touch()
        (target / RECORD).with_suffix(_DRAFT).touch()
        installer = self._installer.install(job)
        check_installed(packages)
        remove_receipts(packages)
        installed = _installed(packages)
        hidden = self._base.hidden(installed)
        shared = self._base.link(target / _SHARED, {*installed, *hidden})
        # its own packages come first: `site` appends the folders that a .pth names
        (packages / _PATHS).write_text("".join(f"{path}\n" for path in shared), encoding="utf-8")
        for package in _OURS:
            (our_packages(job.python) / package.name).symlink_to(package)
        if hidden:
            told = ", ".join(f"{name} ({why})" for name, why in sorted(hidden.items()))
            log.info("model %s: what contradicts its requirements is not shared with it: %s", job.model, told)
        record = {
            "requirements": job.requirements.lines, "installer": installer, "installed": installed, "hidden": hidden
        }  # fmt: skip
        _write(target / RECORD, record)


@contextlib.contextmanager
def _locked(path: Path, deadline: float, model_name: str) -> Iterator[int]:
    """Hold the lock, as a descriptor; what inherits that descriptor holds the lock as well.

    Raises:
        LoadError: somebody else held it until the deadline.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        waits = False
        while not _lock(descriptor):
            if not waits:
                log.info("model %s: waiting for its environment, which is being built already", model_name)
                waits = True
            if time.monotonic() > deadline:
                raise LoadError("its environment was being built elsewhere for longer than --env_timeout allows")
            time.sleep(_POLL)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _installed(packages: Path) -> Mapping[str, str]:
    found = importlib.metadata.distributions(path=[str(packages)])
    return {canonicalize_name(each.metadata["Name"]): each.version for each in found}


def _write(path: Path, record: Mapping[str, Any]) -> None:
    """The last step: a reader sees the whole record or none."""
    draft = path.with_suffix(_DRAFT)
    draft.write_text(json.dumps(record, indent=1), encoding="utf-8")
    draft.replace(path)


def _remove(target: Path) -> None:
    """
    Raises:
        OSError
    """
    if target.exists():
        try:
            shutil.rmtree(target)
        except RecursionError as error:  # what a build has left may be nested deeper than any stack
            raise OSError(f"{target} cannot be removed: its folders are too deep") from error
