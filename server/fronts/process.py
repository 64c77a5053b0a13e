"""A front process: started by `front.py`, it serves until it is told to stop, or its main process has gone."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys
from typing import NoReturn

from server import adapter_log, memory
from server.frame import arguments
from server.settings import Settings
from server.signals import STOP
from server.workers import wire
from server.workers.lifeline import tie_to_parent


def main(descriptor: int) -> NoReturn:
    """Serve as the main process says over the socket under this descriptor; ends the process."""
    tie_to_parent()
    for number in STOP:  # the main process is told, and tells
        signal.signal(number, signal.SIG_IGN)
    os.set_inheritable(descriptor, False)
    faulthandler.enable()
    memory.limit_arenas()
    memory.shut()
    adapter_log.forward()
    end = socket.socket(fileno=descriptor)
    start = wire.Connection(end).receive()
    if start is not None:
        settings = Settings(**start.fields["settings"])
        with arguments(settings):
            from server.fronts.server import FrontServer
        FrontServer(settings, start.fields["id"], start.fields, end).run()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of models would keep the process
