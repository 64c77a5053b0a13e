"""The fork server's side: forks a child for each wish, and tells how it ended. It runs nothing else.

begun: "ready", once it has done what every child is to find done      where there is such a thing
wish: "fork", and four descriptors     the child's connection, its input and output, and a socket for its status
status: its number; once it has ended: how      until the other side hangs up, its number is nobody else's
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import logging
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from server.runtime.lifeline import die_first_without_memory

__all__ = ["PID", "READY", "STATUS", "serve"]

PID, STATUS = struct.Struct("<q"), struct.Struct("<i")
READY = b"ready"
_DESCRIPTORS = 4
_PR_SET_DUMPABLE = 4
_COLLECTED = (700, 10, 10)  #: Python's own thresholds


def serve(
    connection: socket.socket,
    program: Callable[[int], None],
    environ: Mapping[str, str],
    steps: Sequence[Callable[[], None]] = (),
) -> NoReturn:
    """Never returns: this process is a fork, and the caller's stack is no business of it.

    The `steps` come before all children, and each is told of; one that leaves a second thread is the end.
    """
    try:
        _begin_anew(connection.fileno(), environ)
        for step in steps:
            step()
            if len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208
                os._exit(0)
            connection.send(READY)
        gc.set_threshold(*_COLLECTED)
        gc.freeze()
        _Server(connection, program).run()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _begin_anew(connection: int, environ: Mapping[str, str]) -> None:
    """Leave behind what the process that was forked had open, set up, and was told."""
    os.setsid()
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    _close_all_but((0, 1, 2, connection))
    os.environ.clear()
    os.environ.update(environ)
    for logger in (logging.root, logging.getLogger("kserve")):  # as in a process where nobody has set it up
        logger.handlers.clear()
        logger.filters.clear()
        logger.setLevel(logging.WARNING if logger is logging.root else logging.NOTSET)
    _dumpable(True)  # or it could not even say that it is to die first
    die_first_without_memory()
    _dumpable(False)  # a child that is another's tool by then may not look into it, nor steer it
    for stream in (sys.stdout, sys.stderr):  # what is said before a crash is to be heard
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=True)


def _dumpable(yes: bool) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, int(yes), 0, 0, 0)


def _close_all_but(kept: Collection[int]) -> None:
    for name in [entry.name for entry in Path("/proc/self/fd").iterdir()]:
        if int(name) not in kept:
            with contextlib.suppress(OSError):  # the one that listed them is closed already
                os.close(int(name))


class _Server:
    """Waits for wishes, for children to end, and for those who asked to let go of them."""

    def __init__(self, connection: socket.socket, program: Callable[[int], None]) -> None:
        self._connection = connection
        self._program = program
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._children: dict[int, int] = {}  #: its pidfd -> its number
        self._statuses: dict[int, tuple[socket.socket, int]] = {}  #: descriptor of its status socket -> it, its number

    def run(self) -> None:
        """Until the process that was forked hangs up."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._children:
                    self._tell(descriptor)
                elif descriptor in self._statuses:
                    self._let_go(descriptor)
                elif not self._take():
                    return

    def _take(self) -> bool:
        wish, descriptors, _, _ = socket.recv_fds(self._connection, 16, _DESCRIPTORS)
        if not wish:
            return False
        if len(descriptors) != _DESCRIPTORS:  # there is no room for more of them
            for descriptor in descriptors:
                os.close(descriptor)
            return True
        status = socket.socket(fileno=descriptors.pop())
        with contextlib.suppress(OSError):  # no room for one: whoever asked sees the socket closed
            pid = os.fork()
            if pid == 0:
                self._become_child(*descriptors)
            watch = os.pidfd_open(pid)
            self._children[watch] = pid
            self._statuses[status.fileno()] = status, pid
            self._poll.register(watch, select.POLLIN)
            self._poll.register(status, 0)
            status.send(PID.pack(pid))
        for descriptor in descriptors:
            os.close(descriptor)
        if status.fileno() not in self._statuses:
            status.close()
        return True

    def _become_child(self, connection: int, stdin: int, stdout: int) -> NoReturn:
        status = 1
        try:
            os.setsid()
            for descriptor, standard in ((stdin, 0), (stdout, 1), (stdout, 2)):
                os.dup2(descriptor, standard)
            _close_all_but((0, 1, 2, connection))
            _dumpable(True)
            self._program(connection)
            status = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def _tell(self, watch: int) -> None:
        """How a child has ended; it stays a zombie, so that nobody else gets its number."""
        self._poll.unregister(watch)
        pid = self._children.pop(watch)
        os.close(watch)
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        asks = next((asks for asks, number in self._statuses.values() if number == pid), None)
        if asks is None:  # nobody any more
            os.waitpid(pid, 0)
        else:
            with contextlib.suppress(OSError):
                asks.send(STATUS.pack(status))

    def _let_go(self, descriptor: int) -> None:
        """Nobody asks for this child any more: end what is left of it and its group."""
        self._poll.unregister(descriptor)
        status, pid = self._statuses.pop(descriptor)
        status.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        if pid not in self._children.values():  # else it is reaped once it has ended
            os.waitpid(pid, 0)
