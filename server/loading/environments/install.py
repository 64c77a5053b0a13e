"""The installers: uv, which takes a second and shares files between environments, and pip, where uv cannot."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.base import LoadError
from server.loading.environments.build_sandbox import build_environ, confine_build, remove_cache, restore_modes
from server.loading.environments.build_user import end_all, hand_over, take_back
from server.loading.environments.command import Commands, CommandsClosed
from server.loading.environments.pip_settings import PipSettings
from server.loading.environments.requirements import Requirements
from server.runtime.sandbox.sandbox import NO_SANDBOX, Confinement, Sandbox

log = logging.getLogger("kserve")

_MAX_REASON = 1500

#: variables that an installer needs; what else the server knows (tokens, cloud keys) is no package's business
_PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TMPDIR|TEMP|TMP|XDG_\w+|NETRC|LD_LIBRARY_PATH|CC|CXX|CFLAGS|CXXFLAGS|LDFLAGS|"
    r"(https?|no|all)_proxy|SSL_\w+|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|GIT_SSL_CAINFO|PIP_\w+|UV_(?!PUBLISH)\w+",
    re.IGNORECASE,
)
_INDEXES = re.compile(r"(PIP|UV)_(?!CACHE_DIR|NO_CACHE|LINK_MODE|CONCURRENT\w*)\w+")


@dataclass(frozen=True)
class Installation:
    """One environment to fill."""

    model: str
    python: Path  #: the environment's interpreter
    folder: Path  #: for the files that the installer is given
    requirements: Requirements
    lock: int  #: a descriptor that holds the environment's lock, for as long as an installer lives
    deadline: float  #: of the monotonic clock
    mount: Path | None = None  #: below which the requirements may name wheels
    ours: Collection[str] = ()  #: entries of `folder` that are none of the installer's


class Installer:
    """Fills environments from the operator's package indexes, or from a directory of wheels alone."""

    def __init__(self, wheelhouse: Path | None, cache: Path, commands: Commands, sandbox: Sandbox = NO_SANDBOX) -> None:
        self._wheelhouse = wheelhouse.absolute() if wheelhouse else None
        self._cache = cache
        self._commands = commands
        self._sandbox = sandbox

    def install(self, job: Installation) -> str:
        """Install; the answer is the installer's name.

        Raises:
            LoadError: it could not, with what the installer said.
        """
        if self._wheelhouse and not self._wheelhouse.is_dir():
            raise LoadError(f"--wheelhouse={self._wheelhouse} is not a directory")
        try:
            with self._confined(job) as confinement:
                return self._fill(job, confinement)
        except OSError as error:
            raise LoadError(f"its requirements cannot be installed: {error}") from error

    def _fill(self, job: Installation, confinement: Confinement | None) -> str:
        uv = _find_uv()
        if uv is None:
            return self._pip(job, confinement, "it is not installed")
        command = [uv, "pip", "install", *self._uv_arguments(job)]
        ended = self._run(job, confinement, "uv", command, self._uv_environ())
        if ended.code == 0:
            return "uv"
        if ended.code is None or (_is_verdict(ended) and not _says_prerelease(ended)):
            raise LoadError(self._reason(ended))
        log.info("model %s: uv could not install its requirements (%s); trying pip", job.model, _reason_of(ended))
        return self._pip(job, confinement, _reason_of(ended))

    def _pip(self, job: Installation, confinement: Confinement | None, uv_said: str) -> str:
        if importlib.util.find_spec("pip") is None:
            raise LoadError(f"its requirements cannot be installed: there is no pip, and uv said: {uv_said}")
        command = [sys.executable, "-m", "pip", "--python", str(job.python), "install", *self._pip_arguments(job)]
        ended = self._run(job, confinement, "pip", command, self._environ())
        if ended.code != 0:
            raise LoadError(f"{self._reason(ended)}; before it, uv said: {uv_said}")
        return "pip"

    @contextlib.contextmanager
    def _confined(self, job: Installation) -> Iterator[Confinement | None]:
        """What installers are left of the server's rights; and its traces, cleared away."""
        confinement = confine_build(self._sandbox, job.folder, job.requirements, self._wheelhouse, job.mount, job.model)
        if confinement is None:
            yield None
            return
        try:
            if confinement.user is not None:
                hand_over(job.folder, confinement.user, job.ours)
            try:
                yield confinement
            finally:  # also of one that failed: what it started must not go on
                if confinement.user is not None:
                    end_all(confinement.user)
            remove_cache(job.folder)
            if confinement.user is not None:
                take_back(job.folder, confinement.user)
            if confinement.confined:
                restore_modes(job.folder)
        finally:
            confinement.close()

    def _run(
        self, job: Installation, confinement: Confinement | None, name: str, command: list[str], environ: dict[str, str]
    ) -> CommandsClosed:
        label = f"model {job.model}: {name}"
        log.debug("%s: %s", label, " ".join(command))
        line, left = command, max(0.0, job.deadline - time.monotonic())
        if confinement is not None:
            line, environ = confinement.command(command), build_environ(confinement, environ, job.folder)
        try:
            return self._commands.run(line, environ, job.folder, left, label, job.lock)
        except OSError as error:
            raise LoadError(f"its requirements cannot be installed: {command[0]} does not start: {error}") from error

    def _reason(self, ended: CommandsClosed) -> str:
        if ended.stopped:
            return "the installation of its requirements was stopped: the server is closing"
        if ended.code is None:
            return "installing its requirements took longer than --env_timeout allows"
        return f"its requirements cannot be installed: {_reason_of(ended)}"

    def _arguments(self, job: Installation) -> Iterator[str]:
        """What uv and pip both understand."""
        requirements = job.requirements
        yield from ("-r", _written(job.folder / "requirements.txt", requirements.lines))
        if requirements.constraints:
            yield from ("-c", _written(job.folder / "constraints.txt", requirements.constraints))
        if requirements.hashed and "--require-hashes" not in requirements.options:
            yield "--require-hashes"
        yield from (f"--find-links={path}" for path in requirements.links)
        if self._wheelhouse:
            yield f"--find-links={self._wheelhouse}"
            if "--no-index" not in requirements.options:
                yield "--no-index"

    def _uv_arguments(self, job: Installation) -> list[str]:
        own = ["--prerelease=allow" if option == "--pre" else option for option in job.requirements.options]
        compiled = ["--compile-bytecode"] if sys.dont_write_bytecode else []  # else the first import does it
        told = ["--no-config"] if self._wheelhouse else PipSettings.read(os.environ).uv_arguments()
        return list(dict.fromkeys(["--python", str(job.python), *self._arguments(job), *own, *told, *compiled]))

    def _pip_arguments(self, job: Installation) -> list[str]:
        quiet = ["--no-input", "--disable-pip-version-check", "--no-warn-script-location", "--progress-bar=off"]
        return [*quiet, *self._arguments(job), *job.requirements.options]

    def _environ(self) -> dict[str, str]:
        environ = {name: value for name, value in os.environ.items() if _PASSED.fullmatch(name)}
        if self._wheelhouse:  # whatever else names a place is forgotten
            environ = {name: value for name, value in environ.items() if not _INDEXES.fullmatch(name)}
            environ["PIP_CONFIG_FILE"] = os.devnull
        return environ

    def _uv_environ(self) -> dict[str, str]:
        told = {} if self._wheelhouse else PipSettings.read(os.environ).uv_environ()
        ours = {
            "UV_CACHE_DIR": str(self._cache),
            "UV_NO_PROGRESS": "1",
            "NO_COLOR": "1",
            "UV_PYTHON_DOWNLOADS": "never",
        }
        return {**ours, **told, **self._environ()}


def _find_uv() -> str | None:
    try:
        import uv

        return uv.find_uv_bin()
    except (ImportError, FileNotFoundError):
        return None


def _written(path: Path, lines: list[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def _is_verdict(ended: CommandsClosed) -> bool:
    """uv ends with 1 where the requirements are to blame, and with 2 where the network or uv itself is."""
    return ended.code == 1


def _says_prerelease(ended: CommandsClosed) -> bool:
    """pip takes a dependency's pre-release where there is nothing else, and uv does not."""
    return any("pre-release" in line or "prerelease" in line for line in ended.lines)


def _reason_of(ended: CommandsClosed) -> str:
    """What the installer gave as the cause, on one line: from its first error on, else its last words."""
    lines = [line.strip(" ×╰─▶│├") for line in ended.lines]
    first = next((n for n, line in enumerate(ended.lines) if re.match(r"\s*(error:|×)", line, re.IGNORECASE)), None)
    told = lines[first:] if first is not None else lines[-5:]
    text = " ".join(re.sub(r"^(error|cause): ?", "", line, flags=re.IGNORECASE) for line in told if line)
    text = " ".join(text.split()) or f"the installer ended with status {ended.code} and said nothing"
    return text if len(text) <= _MAX_REASON else f"{text[: _MAX_REASON // 2]} ... {text[-_MAX_REASON // 2 :]}"
