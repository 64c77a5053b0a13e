"""How models go: unloaded by a request, forgotten with their directory, evicted for others, or replaced.

    unload:  UNLOADING --> requests in flight are answered --> the model is closed --> UNAVAILABLE
    evict:   EVICTED at once, so that who comes anew waits for it --> the same
    forget:  out of the store --> the same
    replace: the new one serves (`lifecycle.py`) --> the same

Every one of them ends in `retire`: nobody reaches the model any more, the last request that did is answered, then it
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
from server.repository.claims import ModelClaims
from server.repository.replicas import Replicas
from server.repository.state import ModelState, State
from server.repository.store import ModelStore

log = logging.getLogger("kserve")


class Retirement:
    """Takes models out of a store, and closes them once nobody uses them."""

    def __init__(self, store: ModelStore, claims: ModelClaims, replicas: Replicas) -> None:
        self._store = store
        self._claims = claims
        self._replicas = replicas
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on requests are on this event loop."""
        self._loop = loop

    def unload(self, name: str) -> None:
        """Take a model, all its versions, out of service; its directory stays in the index. Returns at once.

        Raises:
            KeyError: there is none; KServe's routes expect that.
        """
        versions = self._store.models.get(name)
        if versions is None:
            raise KeyError(f"model with name {name} does not exist")
        with self._replicas.change(name):
            for state in list(versions.states.values()):
                self.take_out(state, "unloaded", State.UNAVAILABLE)

    async def unload_and_wait(self, name: str) -> None:
        """As `unload`, and wait until the requests in flight are answered and the models closed.

        Raises:
            NotFound: there is none.
        """
        versions = self._store.models.get(name)
        if versions is None:
            raise NotFound(f"model {name!r} does not exist")
        loop = asyncio.get_running_loop()
        futures = []
        change = self._replicas.change(name)
        await asyncio.to_thread(change.__enter__)
        try:
            for state in list(versions.states.values()):
                future = loop.create_future()
                then = partial(loop.call_soon_threadsafe, into(future), None)
                self.take_out(state, "unloaded", State.UNAVAILABLE, then)
                futures.append(future)
        finally:
            await asyncio.to_thread(change.__exit__, None, None, None)
        await asyncio.gather(*futures)
        await asyncio.to_thread(self._replicas.settle, name)

    def forget(self, name: str, versions: Collection[str] | None = None) -> None:
        """A directory is gone (or these versions of it): serve it no more, and list it no more."""
        with self._replicas.change(name):
            removed = self._store.remove(name, versions)
        for state in removed:
            log.info("model %s is no longer there", state.label)
            if state.model is not None:
                self.retire(state.model)

    def keep_only(self, found: Collection[Found]) -> None:
        """Forget the versions of a model that are not among these, which are all of that model, and at least one."""
        (name,) = {each.name for each in found}
        versions = self._store.models.get(name)
        superfluous = set(versions.states if versions else ()) - {each.version for each in found}
        if superfluous:
            self.forget(name, superfluous)

    def take_out(
        self, state: ModelState, reason: str, become: State, then: Callable[[], object] = lambda: None
    ) -> None:
        """Serve a version no more; once it is closed it is in `become`, and `then` is called on the event loop."""
        out = ModelState(
            *(state.found, become, reason),
            memory=state.memory,
            pinned=state.pinned,
            of_language=state.of_language,
        )
        if become is State.UNAVAILABLE and state.model is not None:
            log.info("model %s is unloaded, as a request asks", state.label)
        leaving = out  # of one that is evicted at once: whoever asks for it may wait until it is back
        if state.model is not None and become is not State.EVICTED:
            leaving = ModelState(state.found, State.UNLOADING, "being unloaded")
        if not self._store.replace(state, leaving) or state.model is None:
            then()
            return

        def closed() -> None:
            self._store.replace(leaving, out)
            then()

        self.retire(state.model, closed)

    def retire(self, model: ServedModel, then: Callable[[], None] = lambda: None) -> None:
        """Close a model once nobody uses it, give its memory back to the system, and call `then`."""

        def closed() -> None:
            self._claims.closed(model)
            then()

        if self._loop is None or self._loop.is_closed():  # nothing ever came, or nobody is left to wait
            model.retire(closed)
        else:
            self._loop.call_soon_threadsafe(model.retire, closed)
