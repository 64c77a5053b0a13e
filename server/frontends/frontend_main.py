"""A front process: started by `frontend.Frontend`, it serves until it is to stop, or its main process has ended."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys
from typing import NoReturn

from server.api.kserve.argv import arguments
from server.config.settings import Settings
from server.inference import decoded_room
from server.loading.files import allow_entries
from server.runtime import ipc, logs, memory
from server.runtime.lifeline import tie_to_parent
from server.runtime.signals import STOP


def main(descriptor: int) -> NoReturn:
    """Serve as the main process says over the socket under this descriptor; ends the process."""
    tie_to_parent()
    for number in STOP:  # the main process gets them, too, and passes them on
        signal.signal(number, signal.SIG_IGN)
    os.set_inheritable(descriptor, False)
    faulthandler.enable()
    memory.limit_arenas()
    memory.collect_rarely()
    memory.shut()
    logs.forward()
    control = socket.socket(fileno=descriptor)
    start = ipc.Connection(control).receive()
    if start is not None:
        settings = Settings(**start.fields["settings"])
        allow_entries(settings.max_model_files)
        decoded_room.allow(settings.bodies_bytes)
        with arguments(settings):
            from server.frontends.frontend_server import FrontendServer
        FrontendServer(settings, start.fields["id"], start.fields, control).run()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads of models would keep the process
