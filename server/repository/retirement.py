"""How models go: unloaded by a request, forgotten with their directory, evicted for others, or replaced.

    unload:  UNLOADING --> requests in flight are answered --> the model is closed --> UNAVAILABLE
    evict:   EVICTED at once, so that who comes anew waits for it --> the same
    forget:  off the shelf --> the same
    replace: the new one serves (`loading`) --> the same

Every one of them ends in `_retire`: nobody reaches the model any more, the last request that did is answered, then it
is closed and its memory given back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from functools import partial

from server.errors import NotFound
from server.inference.batching.queue import into
from server.inference.model import ServedModel
from server.loading.catalog import Found
from server.repository.eviction import Evictor
from server.repository.state import ModelState, ModelStore, State
from server.telemetry.metrics import Metrics

log = logging.getLogger("kserve")


class Unloading(ModelStore):
    """Shelves that models leave."""

    def __init__(self, metrics: Metrics, tenants: Evictor) -> None:
        super().__init__(metrics)
        self.loop: asyncio.AbstractEventLoop | None = None  #: where requests are; set once it runs
        self._tenants = tenants

    def unload(self, name: str) -> None:
        """Take a model, all its versions, out of service; its directory stays in the index. Returns at once.

        Raises:
            KeyError: there is none; KServe's routes expect that.
        """
        if name not in self.shelves:
            raise KeyError(f"model with name {name} does not exist")
        with self.followers.change(name):
            for entry in list(self.shelves[name].entries.values()):
                self._take_out(entry, "unloaded", State.UNAVAILABLE)

    async def unload_and_wait(self, name: str) -> None:
        """As `unload`, and wait until the requests in flight are answered and the models closed.

        Raises:
            NotFound: there is none.
        """
        shelf = self.shelves.get(name)
        if shelf is None:
            raise NotFound(f"model {name!r} does not exist")
        loop = asyncio.get_running_loop()
        futures = []
        change = self.followers.change(name)
        await asyncio.to_thread(change.__enter__)
        try:
            for entry in list(shelf.entries.values()):
                future = loop.create_future()
                then = partial(loop.call_soon_threadsafe, into(future), None)
                self._take_out(entry, "unloaded", State.UNAVAILABLE, then)
                futures.append(future)
        finally:
            await asyncio.to_thread(change.__exit__, None, None, None)
        await asyncio.gather(*futures)
        await asyncio.to_thread(self.followers.settle, name)

    def forget(self, name: str, versions: Collection[str] | None = None) -> None:
        """A directory is gone (or these versions of it): serve it no more, and list it no more."""
        with self.followers.change(name):
            removed = self._remove(name, versions)
        for entry in removed:
            log.info("model %s is no longer there", entry.label)
            if entry.model is not None:
                self._retire(entry.model)

    def keep_only(self, found: list[Found]) -> None:
        """Forget the versions of a model that are not among these, which are all of that model."""
        name = found[0].name
        with self._changing:
            shelf = self.shelves.get(name)
            gone = set(shelf.entries if shelf else ()) - {each.version for each in found}
        if gone:
            self.forget(name, gone)

    def _take_out(
        self, entry: ModelState, reason: str, state: State, then: Callable[[], object] = lambda: None
    ) -> None:
        """Serve an entry no more; once it is closed it is in `state`, and `then` is called on the event loop."""
        out = ModelState(entry.found, state, reason, memory=entry.memory, pinned=entry.pinned)
        with self._changing:
            if self._entry(entry.found.key) is not entry:
                then()
                return
            if entry.model is None or state is State.EVICTED:  # whoever asks for it may wait until it is back
                leaving = out
            else:
                leaving = ModelState(entry.found, State.UNLOADING, "being unloaded")
            self._put(leaving)
        if entry.model is None:
            then()
            return

        def closed() -> None:
            self._change(leaving, out)
            then()

        self._retire(entry.model, closed)

    def _retire(self, model: ServedModel, then: Callable[[], None] = lambda: None) -> None:
        """Close a model once nobody uses it, give its memory back to the system, and call `then`."""

        def closed() -> None:
            self._tenants.closed(model)
            then()

        if self.loop is None or self.loop.is_closed():  # nothing ever came, or nobody is left to wait
            model.retire(closed)
        else:
            self.loop.call_soon_threadsafe(model.retire, closed)
