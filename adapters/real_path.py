"""Where a path really leads, as `Path.resolve` has it, but for the links of `/proc` that are no texts.

`/proc/PID/root` leads to the files as another process sees them: KServe mounts the model of an `oci://` image so, by a
link to `/proc/PID/root/models` of a sidecar. Read as a text the link says "/", and what `resolve` makes of it is a path
of *this* process's files, which are others. So such a link is kept as it is: it leads nowhere by its text, and what is
in it is in it. A link inside that begins with a slash leads to this process's own files again, as the kernel has it.

Sources: proc_pid_root(5), proc_pid_cwd(5), path_resolution(7); kserve's pkg/utils/storage.go.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

_MOST_LINKS = 40  #: as the kernel
_MAGIC = re.compile(r"/proc/(?:[0-9]+|self|thread-self)(?:/task/[0-9]+)?/(?:root|cwd|exe|(?:fd|map_files|ns)/[^/]+)")


def real_path(path: Path | str) -> Path:
    """The path without links and dots; what does not exist of it stays as it is.

    Raises:
        OSError: links lead round.
    """
    text = os.fspath(path)
    return Path(_followed("/", text if text.startswith("/") else f"{os.getcwd()}/{text}"))  # noqa: PTH109  (as text)


def leads_into(path: Path | str, root: Path | str) -> bool:
    """Whether the path, its links followed, lies in `root`, whose own are followed once for both.

    Raises:
        OSError: links lead round.
    """
    real_root, text, above = real_path(root), os.fspath(path), f"{(os.fspath(root) or '.').rstrip('/')}/"
    real = Path(_followed(str(real_root), text[len(above) :])) if text.startswith(above) else real_path(path)
    return real.is_relative_to(real_root)


def _followed(found: str, path: str) -> str:
    """Where a path leads from this folder, which is without links."""
    rest, links = path.split("/")[::-1], 0
    while rest:
        name = rest.pop()
        if name in ("", "."):
            continue
        if name == "..":
            found = found if _MAGIC.fullmatch(found) else os.path.dirname(found)  # noqa: PTH120
            continue
        found = f"{found.rstrip('/')}/{name}"
        if (target := _target(found)) is None:
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        found = "/" if target.startswith("/") else os.path.dirname(found)  # noqa: PTH120
        rest += target.split("/")[::-1]
    return found


def _target(path: str) -> str | None:
    """What a link says; None: it is none, or says nothing."""
    if _MAGIC.fullmatch(path):
        return None
    try:
        return os.readlink(path)  # noqa: PTH115  (as text)
    except OSError:  # no link, or nothing
        return None
