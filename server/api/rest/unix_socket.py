"""`--uds`: the REST server on a Unix socket, for a sidecar that shares a volume with it, beside its port.

Nothing is encrypted there: the socket's directory says who may ask. A caller has no address, so loading and unloading
take the `ADMIN_TOKEN` or a key. What an earlier server left behind is taken away; another server's socket is not.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn

#: bytes of a socket's path that the kernel takes
LONGEST = 107


class SocketTaken(Exception):
    """The path cannot be listened on."""


@asynccontextmanager
async def listening_on(path: Path | None, server: uvicorn.Server) -> AsyncIterator[None]:
    """Within, a server that has started answers on the socket, too; None: it does not.

    Raises:
        SocketTaken: with the reason.
    """
    if path is None:
        yield
        return
    make_room(path)

    def protocol() -> asyncio.Protocol:
        made: asyncio.Protocol = server.config.http_protocol_class(  # type: ignore[call-arg]
            config=server.config, server_state=server.server_state, app_state=server.lifespan.state
        )
        return made

    try:
        listener = await asyncio.get_running_loop().create_unix_server(protocol, str(path))
    except OSError as error:
        raise SocketTaken(error.strerror or str(error)) from error
    ours = _inode(path)
    try:
        yield
    finally:
        listener.close()
        if ours and _inode(path) == ours:
            os.unlink(path)  # noqa: PTH108  (as `_inode`)


def _inode(path: Path) -> int:
    """What tells this socket from another under its name; 0: there is none."""
    try:
        return os.stat(path).st_ino  # noqa: PTH116  (of a local file, in a coroutine)
    except OSError:
        return 0


def make_room(path: Path) -> None:
    """Take away a socket that nobody listens on any more.

    Raises:
        SocketTaken: somebody does, or there is something else.
    """
    if len(str(path).encode()) > LONGEST:
        raise SocketTaken(f"the path has more than {LONGEST} bytes")
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketTaken(error.strerror or str(error)) from error
    if not stat.S_ISSOCK(kind):
        raise SocketTaken("there is something that is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        problem = probe.connect_ex(str(path))
    if problem != errno.ECONNREFUSED:
        raise SocketTaken(os.strerror(problem) if problem else "another server listens there")
    path.unlink()
