"""A version that runs beside another comes to serve in its place: somebody has said so, or it has proved itself."""

from __future__ import annotations

import logging
from dataclasses import replace

from server.errors import NotFound, NotReady, ServingError
from server.repository.replicas import Replicas
from server.repository.store import ModelStore

log = logging.getLogger("kserve")


def promote(store: ModelStore, replicas: Replicas, name: str) -> str:
    """Have the version that runs beside another serve in its place, which stays in memory; its number. Blocks.

    Raises:
        NotFound: there is no such model.
        NotReady: nothing runs beside it.
    """
    with store.lock:
        versions = store.models.get(name)
        if versions is None:
            raise NotFound(f"model {name!r} does not exist")
        state = versions.shadow
    if state is None:
        raise NotReady(f"model {name!r} has no version with `shadow: true` in memory that could take over")
    with replicas.change(name), store.lock:
        store.promoted.add(state.found.key)
        current = store.get(state.found.key)
        if current is not None:
            store.put(replace(current, found=store.as_promoted(current.found)))
    log.info("model %s serves: it was promoted", state.label)
    return state.found.version


def take_over(store: ModelStore, replicas: Replicas, name: str) -> None:
    """The same for one that has proved itself: nobody waits to be told why not."""
    try:
        promote(store, replicas, name)
    except ServingError as error:  # it was unloaded meanwhile, or somebody was faster
        log.warning("model %s: its shadow does not take over: %s", name, error)
