"""A user id of its own for an installer, where the server is root: packages that are built run code of their own.

    why_not     what keeps another user from doing this build
    hand_over   its user may add to the environment; what is root's there stays root's, and stays where it is
    end_all     nothing of the user's runs on, not even what has left the installer's group
    take_back   what it made is root's, for all to read; what would lead root astray later is refused

What the server does in the environment afterwards, it does as root: so every folder that it had made before belongs to
root and is sticky, the user being of its group. Whoever may not remove a folder cannot put a link in its place.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from adapters.base import LoadError
from server.runtime.sandbox.users import closed_way, closed_within
from server.text import printable

_RIGHTS = 0b1011  #: CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER
_SHARED = 0o1775  #: the group adds entries, and removes its own alone
_RECEIPT = ".dist-info"
_DEEPEST = 100  #: folders within folders
_END = "import os, signal; os.kill(-1, signal.SIGKILL)"  # all that this user may signal, but this process
_PATIENCE = 60.0


def why_not(way: Iterable[Path], places: Iterable[Path], status: Path = Path("/proc/self/status")) -> str:
    """Why the installer has to be root: it passes `way`, and reads from `places`; "" where it need not be."""
    held = int(next(line for line in status.read_text().splitlines() if line.startswith("CapEff")).split()[1], 16)
    if held & _RIGHTS != _RIGHTS:
        return "the server has no capability CHOWN, DAC_OVERRIDE or FOWNER"
    places = [*places]
    if closed := closed_way((*way, *places)) or closed_within(_entries(places)):
        return f"other users may not read {closed}"
    return ""


def check_readable(mount: Path | None, files: Iterable[Path]) -> None:
    """What requirements name in the model's own folder, which is below `mount`, has to be for all to read.

    Raises:
        LoadError: it is not; whoever brought it would else choose the user that builds it.
    """
    if mount is None:
        return
    for file in files:
        way = [folder for folder in file.parents if folder.is_relative_to(mount) and folder != mount]
        if closed := closed_within(map(str, (*reversed(way), *_entries([file])))):
            raise LoadError(
                "its requirements are installed by a user id of its own, which may not read "
                f"{printable(Path(closed).name)}: let all users read the model's files "
                "(chmod -R o+rX), or start the server with --worker_uids=none"
            )


def hand_over(target: Path, user: int, ours: Collection[str] = ()) -> None:
    """Let `user` fill the environment, but for the folders `ours`. The receipts are its own, as it may replace them.

    Raises:
        OSError
    """
    for folder, names, files in os.walk(target):
        if Path(folder) == target:
            names[:] = [name for name in names if name not in ours]
        os.chown(folder, 0, user)
        os.chmod(folder, _SHARED)  # noqa: PTH101
        for name in [name for name in names if name.endswith(_RECEIPT)]:
            names.remove(name)
            _give(Path(folder, name), user)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o444)


def end_all(user: int) -> None:
    """End every process of a user.

    Raises:
        OSError: that cannot be done.
    """
    command = [sys.executable, "-I", "-S", "-c", _END]
    subprocess.run(command, user=user, group=user, extra_groups=[], env={}, timeout=_PATIENCE, check=False)


def take_back(target: Path, user: int) -> None:
    """Everything is root's; others may read it. No process of the user's may run any more.

    Raises:
        LoadError: something there is none of an environment's business.
        OSError
    """
    inside = os.path.realpath(target)
    for folder, names, files in os.walk(target, onerror=_raise):
        os.chown(folder, 0, 0)
        os.chmod(folder, 0o755)  # noqa: PTH101
        if len(Path(folder).parts) - len(target.parts) > _DEEPEST:
            raise LoadError(f"its requirements left folders more than {_DEEPEST} deep")
        for path in (os.path.join(folder, name) for name in (*names, *files)):  # noqa: PTH118  (there are thousands)
            _take(path, user, inside, os.path.relpath(path, target))


def _give(folder: Path, user: int) -> None:
    for path in (folder, *folder.iterdir()):
        os.chown(path, user, user)


def _take(path: str, user: int, inside: str, name: str) -> None:
    status = os.lstat(path)
    if status.st_uid != user:
        return
    if stat.S_ISLNK(status.st_mode):
        if not Path(os.path.realpath(path)).is_relative_to(inside):
            raise LoadError(f"its requirements left {printable(name)}, a link that leads out of the environment")
    elif not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise LoadError(f"its requirements left {printable(name)}, which is neither a file nor a folder")
    os.chown(path, 0, 0, follow_symlinks=False)
    if stat.S_ISREG(status.st_mode):  # and no longer anybody's to write: a mode, or a list of rights
        os.chmod(path, status.st_mode & 0o755 | 0o444)  # noqa: PTH101


def _entries(places: Iterable[Path]) -> Iterator[str]:
    """Each of these, and what a folder has directly in it."""
    for place in places:
        yield str(place)
        if place.is_dir():
            yield from map(str, sorted(place.iterdir()))


def _raise(error: OSError) -> None:
    raise error
