"""What one front process holds: copies of models, and for whom each answers.

    load --> the copy is there --> follow: routes to it --> follow: routes to another --> drop --> it is closed

Everything here happens under one lock, `Fronts`'.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from server.fronts.link import Link
from server.metrics import Told
from server.recipe import Recipe

log = logging.getLogger("kserve")

#: which copy answers for each version of a name (None: for the name alone)
Routes: TypeAlias = dict[str | None, int]
Answer: TypeAlias = Future[Mapping[str, Any]]


@dataclass
class _Copy:
    """A copy of a model, there or on its way."""

    recipe: Recipe
    loading: Answer

    @property
    def ready(self) -> bool:
        return self.loading.done() and self.loading.exception() is None and not self.loading.result()["error"]


class House(Protocol):
    """What all of them live in: `fronts.Fronts`."""

    lock: threading.RLock
    stopping: threading.Event

    def names(self) -> Iterable[str]: ...

    def wanted(self, name: str) -> Mapping[str | None, Recipe]: ...

    def is_withdrawn(self, name: str) -> bool: ...

    def is_coming(self, number: int) -> bool: ...

    def keep_counts(self, told: Told) -> None: ...


class Holdings:
    """Of one process, from its start to its end."""

    def __init__(self, number: int, link: Link, house: House) -> None:
        self._number = number
        self._link = link
        self._house = house
        self._copies: dict[int, _Copy] = {}
        self._routes: dict[str, Routes] = {}
        self._leaving: dict[str, set[Answer]] = {}

    def answers_for(self, name: str) -> bool:
        """Whether it has a copy that answers for the name, or a version of it."""
        return bool(self._routes.get(name))

    def follow(self, name: str) -> Answer | None:
        """Let it hold, and answer for, what it should under this name. What it was told last of that, if anything."""
        wanted = self._house.wanted(name)
        for recipe in wanted.values():
            self.load(recipe)
        routes = {version: recipe.number for version, recipe in wanted.items() if self._is_ready(recipe)}
        told = None
        if routes != self._routes.get(name, {}):
            self._routes[name] = routes
            told = self._link.ask("routes", name=name, routes=list(routes.items()))
        if not self._house.is_withdrawn(name):
            self._let_go(name, {recipe.number for recipe in wanted.values()})
        return told

    def load(self, recipe: Recipe) -> Answer:
        """Have it load a copy, unless it has, or is at it."""
        if (copy := self._copies.get(recipe.number)) is not None:
            return copy.loading
        loading = self._link.ask("load", recipe=recipe.to_fields())
        self._copies[recipe.number] = _Copy(recipe, loading)
        loading.add_done_callback(lambda answer: self._loaded(recipe, answer))  # which may be now
        return loading

    def _is_ready(self, recipe: Recipe) -> bool:
        copy = self._copies.get(recipe.number)
        return copy is not None and copy.ready

    def _loaded(self, recipe: Recipe, answer: Answer) -> None:
        if answer.exception() is None and (why := answer.result()["error"]):
            log.warning("model %s has no copy in process %d: %s", recipe.name, self._number, why)
        with self._house.lock:
            self.follow(recipe.name)

    def _let_go(self, name: str, wanted: set[int]) -> None:
        """Of the copies of a name that answer nobody any more; those that are on their way are let go when there."""
        for number, copy in list(self._copies.items()):
            if copy.recipe.name != name or number in wanted or self._house.is_coming(number):
                continue
            if copy.ready:
                closed = self._link.ask("drop", number=number)
                leaving = self._leaving.setdefault(name, set())
                leaving.add(closed)
                closed.add_done_callback(leaving.discard)
            if copy.loading.done():
                del self._copies[number]

    def leaving(self, name: str) -> Sequence[Answer]:
        """Copies of the name that are not closed yet."""
        return list(self._leaving.get(name, ()))
