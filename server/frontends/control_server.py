"""The front process's side of the control connection: does what the main process requests, and says when it is done.

load   spec            a copy, beside those there are              when it is loaded, or why it is not
routes name, routes    which copies answer for a name              at once: from then on they do
drop   number          a copy that answers nobody any more         when it is closed
count                                                              what was counted
log    level           log from this level on                      at once
stop   grace           answer what has come, and end               at once
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from server.frontends.copy_repository import CopyRepository
from server.inference.model import ServedModel
from server.loading.load_spec import LoadSpec
from server.runtime import ipc, logs

log = logging.getLogger("kserve")


class ControlServer:
    """Lives on the event loop; copies are loaded one at a time, in a thread."""

    def __init__(self, writer: asyncio.StreamWriter, copies: CopyRepository, stop: Callable[[float], None]) -> None:
        self._writer = writer
        self._copies = copies
        self._stop = stop
        self._loader = ThreadPoolExecutor(1, "load")

    async def serve(self, reader: asyncio.StreamReader) -> None:
        """Do as the main process says, until it hangs up."""
        while (message := await ipc.read(reader)) is not None:
            try:
                self._do(message.fields)
            except Exception as error:  # ours; whoever waits for the answer must not wait for ever
                log.exception("%s failed", message.fields.get("do"))
                self.answer(message.fields["id"], error=f"{type(error).__name__}: {error}")

    def answer(self, number: int, error: str = "", **fields: Any) -> None:
        """Say that something is done, or why it cannot be."""
        for part in ipc.pack({"id": number, "error": error, **fields}):
            self._writer.write(part)

    def _do(self, request: Mapping[str, Any]) -> None:
        number, do = request["id"], request["do"]
        if do == "load":
            self._load(number, LoadSpec.from_fields(request["spec"]))
        elif do == "routes":
            self._copies.route(request["name"], request["routes"])
            self.answer(number)
        elif do == "drop":
            self._copies.drop(request["number"], lambda: self.answer(number))
        elif do == "count":
            self.answer(
                number, counts=self._copies.counts(), waiting=self._copies.waiting(), in_flight=self._copies.in_flight()
            )
        elif do == "log":
            logs.set_level(request["level"])
            self.answer(number)
        elif do == "stop":
            self._stop(request["grace"])
            self.answer(number)
        else:
            raise ValueError(f"nobody knows how to {do}")

    def _load(self, number: int, spec: LoadSpec) -> None:
        def loaded(future: asyncio.Future[ServedModel]) -> None:
            error = asyncio.CancelledError() if future.cancelled() else future.exception()
            if error is None:
                self._copies.put(spec.number, future.result())
            self.answer(number, error=(str(error) or type(error).__name__) if error else "")

        loop = asyncio.get_running_loop()
        loop.run_in_executor(self._loader, self._copies.load, spec).add_done_callback(loaded)
