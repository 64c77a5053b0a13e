"""The main process's side of the control connection: requests to a front process and their answers, from any thread.

What there is to ask for: `server.frontends.control_server`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from itertools import count
from typing import Any, TypeAlias

from server.runtime import ipc
from server.runtime.child_process import ChildProcess

log = logging.getLogger("kserve")

#: seconds that a message may take to be handed over
SEND_TIMEOUT = 30.0
#: seconds after which a process that says nothing is looked after
POLL_INTERVAL = 1.0


#: comes when what was asked for is done: the fields of the answer, of which `error` says why it was not
ControlAnswer: TypeAlias = Future[Mapping[str, Any]]


class FrontendEnded(Exception):
    """The process has ended, and will not answer."""


class ControlClient:
    """The connection to one process."""

    def __init__(self, process: ChildProcess) -> None:
        self._process = process
        self._process.connection.wait_at_most(SEND_TIMEOUT)
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._answers: dict[int, ControlAnswer] = {}
        self._ended = False

    def request(self, do: str, **fields: Any) -> ControlAnswer:
        """Have the process do something; its answer, or `FrontendEnded`."""
        answer: ControlAnswer = Future()
        with self._lock:
            if not self._ended:
                number = next(self._numbers)
                self._answers[number] = answer
                self._send({"id": number, "do": do, **fields})
                return answer
        answer.set_exception(FrontendEnded())
        return answer

    def _send(self, fields: Mapping[str, Any]) -> None:
        try:
            self._process.connection.send(ipc.pack(fields))
        except OSError as error:
            log.warning("process %d takes no more messages (%s): it is ended", self._process.pid, error)
            self._process.kill()  # `listen` hears of it

    def listen(self, when_quiet: Callable[[], object]) -> None:
        """Hand over answers until the process has ended; `when_quiet` is called while there are none."""
        try:
            while True:
                if not self._process.wait(POLL_INTERVAL):
                    when_quiet()
                    continue
                message = self._process.connection.receive()
                if message is None:
                    return
                self._answers.pop(message.fields["id"]).set_result(message.fields)
        except (OSError, ipc.IpcError) as error:
            log.warning("process %d cannot be understood any more: %s", self._process.pid, error)
        finally:
            with self._lock:
                self._ended = True
                left, self._answers = list(self._answers.values()), {}
            for answer in left:
                answer.set_exception(FrontendEnded())
