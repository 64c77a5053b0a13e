"""What an installer is left: packages that are built run code of their own (`setup.py`, build backends).

In a sandbox it writes to the environment that it fills and nowhere else (so uv's cache, which environments would share,
is its own), reads where packages come from, and connects, unless all come from a wheelhouse. Where the server is root,
it has a user id of its own, in a sandbox or not. It reads pip's configuration, too (of root's, a copy), and what that
says of indexes' passwords is known to what it builds.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from server.loading.environments.build_user import check_readable, why_not
from server.loading.environments.pip_settings import PipSettings, configuration_files, written_settings
from server.loading.environments.requirements import Requirements
from server.runtime.sandbox.sandbox import Confinement, Sandbox

log = logging.getLogger("kserve")

#: variables that name files which installers read
_FILES = (
    "PIP_CERT",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
)
#: what installers read below HOME, beside pip's configuration
_HOME_FILES = (".netrc", ".config/uv", ".local/share/uv/credentials")
_SCHEME = "file://"
_PROGRAMS = (b"#!", b"\x7fELF")
_CACHE = ".uv-cache"  #: within the environment, so that files are linked and not copied; removed in the end


def confine_build(
    sandbox: Sandbox,
    target: Path,
    requirements: Requirements,
    wheelhouse: Path | None,
    mount: Path | None = None,
    model: str = "",
) -> Confinement | None:
    """For an installer that fills `target`; None where it is left as it is. `mount` is where the `model`'s folder is.

    Raises:
        LoadError: its user could not read what the requirements name in the model's folder.
        OSError: it cannot be prepared.
    """
    configuration = [] if wheelhouse else [*_configuration(os.environ)]
    places = [wheelhouse] if wheelhouse else [*_places_of_packages(os.environ)]
    named = [*requirements.links, *_local(_words(requirements.lines))]
    own_user = False
    if sandbox.users is not None:
        way = (Path(sys.executable), target.parent, *([mount] if mount else ()))
        if why := why_not(way, places):
            log.warning("model %s: the server's own user, root, installs its requirements: %s", model, why)
        else:
            check_readable(mount, named)
            own_user = True
    readable = [*configuration, *places, *named]
    confinement = sandbox.confinement(readable, [target], network=wheelhouse is None, own_user=own_user)
    if confinement and confinement.user is not None and not wheelhouse:
        try:
            _copy_configuration(confinement.scratch, confinement.user, os.environ)
        except OSError:
            confinement.close()
            raise
    return confinement


def build_environ(confinement: Confinement, environ: Mapping[str, str], target: Path) -> dict[str, str]:
    """An installer's variables: its files are its own, and its configuration is the operator's."""
    own = {"UV_CACHE_DIR": f"{confinement.scratch}/uv", "UV_LINK_MODE": "copy", "PIP_NO_CACHE_DIR": "1"}
    if confinement.user is None:
        own |= {name: environ[name] for name in ("HOME", "XDG_CONFIG_HOME") if name in environ}
    else:
        copies = {"PIP_CONFIG_FILE": confinement.scratch / "pip.conf", "NETRC": confinement.scratch / ".netrc"}
        own |= {name: str(copy) for name, copy in copies.items() if copy.exists()}
        own["XDG_DATA_HOME"] = f"{confinement.scratch}/.local/share"
        if not confinement.confined:  # within a sandbox, files are not linked from one folder into another
            own |= {"UV_CACHE_DIR": str(target / _CACHE), "UV_LINK_MODE": "hardlink"}
    return {**confinement.environ(environ), **own}


def remove_cache(target: Path) -> None:
    """Remove what only the installer needed."""
    shutil.rmtree(target / _CACHE, ignore_errors=True)


def restore_modes(target: Path) -> None:
    """Let programs be run: in the sandbox no file's mode is changed."""
    for folder, _, names in os.walk(target):
        for name in names:
            path = Path(folder, name)
            if not stat.S_ISREG(path.lstat().st_mode):
                continue
            with path.open("rb") as file:
                begins = file.read(4)
            if begins.startswith(_PROGRAMS):
                mode = stat.S_IMODE(path.stat().st_mode)
                path.chmod(mode | (mode & 0o444) >> 2)


def _copy_configuration(scratch: Path, user: int, environ: Mapping[str, str]) -> None:
    """What root's installer would read of root's own folder, which nobody else may enter."""
    configured = environ.get("XDG_CONFIG_HOME")
    home = Path(environ.get("HOME") or Path.home())
    elsewhere = {".netrc": environ.get("NETRC"), ".config/uv": configured and f"{configured}/uv"}
    for name in _HOME_FILES:
        source, copy = Path(elsewhere.get(name) or home / name), scratch / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy)
        elif source.is_file():
            shutil.copyfile(source, copy)
    if text := written_settings(environ):
        (scratch / "pip.conf").write_text(text, encoding="utf-8")
    for folder, names, files in os.walk(scratch):
        for name in (*names, *files):
            os.chown(Path(folder, name), user, user)
            Path(folder, name).chmod(0o700 if name in names else 0o600)


def _configuration(environ: Mapping[str, str]) -> Iterator[Path]:
    yield from configuration_files(environ)
    home = Path(environ.get("HOME") or Path.home())
    yield from (home / name for name in _HOME_FILES)
    if environ.get("NETRC"):
        yield Path(environ["NETRC"])


def _places_of_packages(environ: Mapping[str, str]) -> Iterator[Path]:
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
