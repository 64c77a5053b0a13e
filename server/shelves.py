"""What a repository holds: a shelf of entries for each model, and who answers for its name.

Entries never change, they are replaced: in one assignment, under the lock, on whichever thread has news. Readers on
the event loop take no lock, and never see half of a change.

    put --> the shelf holds the entry --> settle: `serving[name]` is the newest version that serves
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

from server.entries import Entry, Served, Shelf, State
from server.followers import Followers, Nobody
from server.loader import Key
from server.metrics import Metrics
from server.recipe import Recipe


class Shelves:
    """Entries by name and version."""

    def __init__(self, metrics: Metrics) -> None:
        self.shelves: dict[str, Shelf] = {}
        self.serving: dict[str, Served] = {}  #: what a request is for that names no version
        self.metrics = metrics
        self.followers: Followers = Nobody()  #: other processes that answer for what is here
        self._changing = threading.RLock()  #: held while entries are replaced, never while a model is loaded

    def _entry(self, key: Key) -> Entry | None:
        shelf = self.shelves.get(key[0])
        return shelf.entries.get(key[1]) if shelf is not None else None

    def _entries(self) -> list[Entry]:
        with self._changing:
            return [entry for shelf in self.shelves.values() for entry in shelf.entries.values()]

    def _now(self) -> dict[Key, tuple[State, str]]:
        return {entry.found.key: entry.now for entry in self._entries()}

    def recipes(self, name: str) -> dict[str | None, Recipe]:
        """Who answers for a name now, by version and label (None: the name alone), of what others can load, too."""
        with self._changing:
            shelf = self.shelves.get(name)
            if shelf is None:
                return {}
            known: dict[str | None, Entry | None] = {None: shelf.newest}
            known.update((version, entry) for version, entry in shelf.entries.items() if version)
            known.update((label, shelf.entries.get(version)) for label, version in shelf.labels.items())
        return {key: entry.recipe for key, entry in known.items() if entry and entry.model and entry.recipe}

    def _why(self, name: str) -> str:
        """The reasons of all its versions."""
        with self._changing:
            shelf = self.shelves.get(name)
            reasons = [entry.now[1] for entry in shelf.entries.values()] if shelf else []
        return "; ".join(filter(None, reasons)) or "it was unloaded meanwhile"

    def _put(self, entry: Entry) -> None:
        name = entry.found.name
        shelf = self.shelves.get(name) or Shelf()
        shelf.put(entry)
        self.shelves[name] = shelf
        self._settle(name)

    def _change(self, mine: Entry, new: Entry, labels: Mapping[str, str] | None = None) -> bool:
        """Replace an entry, unless somebody else (who unloaded the model, say) did meanwhile."""
        with self._changing:
            if self._entry(mine.found.key) is not mine:
                return False
            self._put(new)
            if labels is not None:
                self.shelves[mine.found.name].labels = dict(labels)
            return True

    def _remove(self, name: str, versions: Collection[str] | None) -> list[Entry]:
        """Take these versions of a model off its shelf (None: all, and the shelf with them)."""
        with self._changing:
            shelf = self.shelves.get(name)
            entries = list(shelf.entries.values()) if shelf else []
            entries = [entry for entry in entries if versions is None or entry.found.version in versions]
            if shelf is not None and len(entries) == len(shelf.entries):
                del self.shelves[name]
            elif shelf is not None:
                shelf.drop({entry.found.version for entry in entries})
            self._settle(name)
        return entries

    def _settle(self, name: str) -> None:
        """Say anew who serves a name."""
        shelf = self.shelves.get(name)
        model = shelf.newest.model if shelf is not None else None
        if model is None:
            self.serving.pop(name, None)
            return
        if self.serving.get(name, model) is not model:
            self.metrics.of(name).swaps += 1
        self.serving[name] = model
