"""The installers: uv, which takes a second and shares files between environments, and pip, where uv cannot."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.base import LoadError
from server.loading.environments.build_sandbox import build_environ, confine_build, restore_modes
from server.loading.environments.command import Commands, CommandsClosed
from server.loading.environments.pip_settings import PipSettings
from server.loading.environments.requirements import Requirements
from server.runtime.sandbox.sandbox import NO_SANDBOX, Sandbox

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
    deadline: float  #: seconds that are left


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
        uv = _find_uv()
        if uv is None:
            return self._pip(job, "it is not installed")
        ended = self._run(job, "uv", [uv, "pip", "install", *self._uv_arguments(job)], self._uv_environ())
        if ended.code == 0:
            return "uv"
        if ended.code is None or (_is_verdict(ended) and not _says_prerelease(ended)):
            raise LoadError(self._reason(ended))
        log.info("model %s: uv could not install its requirements (%s); trying pip", job.model, _reason_of(ended))
        return self._pip(job, _reason_of(ended))

    def _pip(self, job: Installation, uv_said: str) -> str:
        if importlib.util.find_spec("pip") is None:
            raise LoadError(f"its requirements cannot be installed: there is no pip, and uv said: {uv_said}")
        command = [sys.executable, "-m", "pip", "--python", str(job.python), "install"]
        ended = self._run(job, "pip", [*command, *self._pip_arguments(job)], self._environ())
        if ended.code != 0:
            raise LoadError(f"{self._reason(ended)}; before it, uv said: {uv_said}")
        return "pip"

    def _run(self, job: Installation, name: str, command: list[str], environ: Mapping[str, str]) -> CommandsClosed:
        label = f"model {job.model}: {name}"
        log.debug("%s: %s", label, " ".join(command))
        try:
            confinement = confine_build(self._sandbox, job.folder, job.requirements, self._wheelhouse)
            if confinement is None:
                return self._commands.run(command, environ, job.folder, job.deadline, label, job.lock)
            try:
                line, environ = confinement.command(command), build_environ(confinement, environ)
                return self._commands.run(line, environ, job.folder, job.deadline, label, job.lock)
            finally:
                confinement.close()
                restore_modes(job.folder)
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
