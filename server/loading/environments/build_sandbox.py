"""What an installer is left in a sandbox: packages that are built run code of their own (`setup.py`, build backends).

It writes to the environment that it fills and nowhere else (so uv's cache, which environments would share, is its own),
reads where packages come from, and connects, unless all come from a wheelhouse. It reads pip's configuration, too, and
what that says of indexes' passwords is known to what it builds.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from server.loading.environments.pip_settings import PipSettings, configuration_files
from server.loading.environments.requirements import Requirements
from server.runtime.sandbox.sandbox import Confinement, Sandbox

#: variables that name files which installers read
_FILES = (
    "PIP_CERT",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NETRC",
)
_HOME_FILES = (".netrc", ".config/uv", ".local/share/uv")
_SCHEME = "file://"
_PROGRAMS = (b"#!", b"\x7fELF")


def confine_build(
    sandbox: Sandbox, target: Path, requirements: Requirements, wheelhouse: Path | None
) -> Confinement | None:
    """For an installer that fills `target`; None where it is left as it is.

    Raises:
        OSError: it cannot be prepared.
    """
    places = [wheelhouse] if wheelhouse else [*_places_of_packages(os.environ)]
    readable = [*places, *requirements.links, *_local(_words(requirements.lines))]
    return sandbox.confinement(readable, [target], network=wheelhouse is None)


def build_environ(confinement: Confinement, environ: Mapping[str, str]) -> dict[str, str]:
    """An installer's variables: its files are its own, and its configuration is the operator's."""
    kept = {name: environ[name] for name in ("HOME", "XDG_CONFIG_HOME") if name in environ}
    cache = {"UV_CACHE_DIR": f"{confinement.scratch}/uv", "UV_LINK_MODE": "copy", "PIP_NO_CACHE_DIR": "1"}
    return {**confinement.environ(environ), **kept, **cache}


def restore_modes(target: Path) -> None:
    """Let programs be run: in the sandbox no file's mode is changed."""
    for folder, _, names in os.walk(target):
        for name in names:
            path = Path(folder, name)
            if path.is_symlink():
                continue
            with path.open("rb") as file:
                begins = file.read(4)
            if begins.startswith(_PROGRAMS):
                mode = stat.S_IMODE(path.stat().st_mode)
                path.chmod(mode | (mode & 0o444) >> 2)


def _places_of_packages(environ: Mapping[str, str]) -> Iterator[Path]:
    yield from configuration_files(environ)
    home = Path(environ.get("HOME") or Path.home())
    yield from (home / name for name in _HOME_FILES)
    yield from (Path(environ[name]) for name in _FILES if environ.get(name))
    settings = PipSettings.read(environ)
    yield from _local(_words(settings.values.values()))
    yield from _local(_words(value for name, value in environ.items() if name.startswith("UV_")))


def _words(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from text.replace(",", " ").split()


def _local(places: Iterable[str]) -> Iterator[Path]:
    """Those that are paths of this machine."""
    for place in places:
        path = place.removeprefix(_SCHEME)
        if path.startswith("/"):
            yield Path(path)
