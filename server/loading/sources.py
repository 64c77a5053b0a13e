"""Every model that the settings name: those of the mount, and those that stores hold."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from adapters.base import ModelDir
from server.config.model_uri import KNOWN, Address
from server.config.settings import Settings
from server.loading.catalog import DEFAULT_NAME, Catalog, Found, NameTaken, NoModelDir, scan
from server.loading.layout import Mounted
from server.loading.lookout import Lookout, NoAnswer
from server.loading.storage.source import Source
from server.runtime.cache_dir import cache_directory

log = logging.getLogger("kserve")


class Rescan:
    """Looks at the models again, any number of times: a mount stays what it was, as long as it can. Thread-safe."""

    def __init__(self, settings: Settings, first: Catalog, lookout: Lookout) -> None:
        self._settings = settings
        self.lookout = lookout
        self._before = first.mounted
        self._told = set(first.notes)

    def __call__(self) -> Catalog:
        """
        Raises:
            NoModelDir: the mount cannot be read.
        """
        catalog = looked_at(self.lookout, self._settings, self._before, again=True)
        self._before = catalog.mounted
        for note in catalog.notes:
            if note not in self._told:
                log.warning("%s", note)
        self._told = set(catalog.notes)
        return catalog


def looked_at(lookout: Lookout, settings: Settings, before: Mounted | None = None, *, again: bool = False) -> Catalog:
    """`catalog_of`, which folders that hang do not hold.

    Raises:
        NoModelDir: as that, and where the mount itself does not answer.
    """
    try:
        return lookout.look(partial(catalog_of, settings, before, again=again))
    except NoAnswer as error:
        raise NoModelDir(str(error)) from error


def catalog_of(settings: Settings, before: Mounted | None = None, *, again: bool = False) -> Catalog:
    """The models of the mount and those of `--model`, or else the one of `STORAGE_URI`.

    KServe leaves STORAGE_URI in the environment of a container whose model it has mounted already, so that it counts
    only where nothing is mounted.

    `before` is what the mount was when it was looked at last. `again`: a folder that has come since, with a name that a
    model from a store has, is left out.

    Raises:
        NoModelDir: the mount cannot be read, or two models have one name.
    """
    addresses = list(settings.models)
    notes: tuple[str, ...] = ()
    mounted = _mounted(settings, bool(addresses or settings.storage_uri), before)
    if settings.storage_uri is not None:
        uri = settings.storage_uri.shown
        if mounted.found:
            notes = (f"STORAGE_URI={uri} is not used: {settings.model_dir} holds models already",)
        elif settings.storage_uri.kind == "unknown":
            raise NoModelDir(f"STORAGE_URI={uri}: nothing is mounted, and what can be downloaded is {KNOWN}")
        else:
            addresses.insert(0, (settings.model_name or DEFAULT_NAME, settings.storage_uri))
    if not addresses:
        return replace(mounted, notes=(*mounted.notes, *notes))
    root = settings.storage_dir or cache_directory("models")
    private = settings.private_redirects
    stored = [_stored(name, address, root, private) for name, address in addresses]
    _check_names(stored)
    taken = _taken(mounted.found, stored)
    if taken and not again:
        here, there = taken[0]
        raise NameTaken(f"two models are called {here.name!r}: {_where(here)} and {_where(there)}")
    notes += tuple(f"{_where(here)} is not served: {_where(there)} has its name" for here, there in taken)
    out = {here.name for here, _ in taken}
    found = (*(each for each in mounted.found if each.name not in out), *stored)
    notes = (*(mounted.notes if mounted.found else ()), *notes)
    return Catalog(found, single=len(found) == 1, notes=notes, mounted=mounted.mounted)


def _mounted(settings: Settings, stored: bool, before: Mounted | None) -> Catalog:
    """What the mount holds. It may be absent where there are other models, unless it was named."""
    if stored and settings.model_dir == Settings.model_dir and not settings.model_dir.exists():
        return Catalog((), single=False)
    return scan(settings.model_dir, settings.model_name, settings.signed, settings.max_models, before)


def _stored(name: str, address: Address, root: Path, private_redirects: bool) -> Found:
    return Found(name, ModelDir.of(root), source=Source(name, address, root, private_redirects))


def _taken(mounted: Sequence[Found], stored: Sequence[Found]) -> list[tuple[Found, Found]]:
    """Mounted models whose names models from stores have, too. (A model's versions have one name.)"""
    by_name = {each.name: each for each in stored}
    return [(each, by_name[each.name]) for each in mounted if each.name in by_name]


def _check_names(found: Sequence[Found]) -> None:
    known: dict[str, Found] = {}
    for each in found:
        if each.name in known:
            raise NameTaken(f"two models are called {each.name!r}: {_where(known[each.name])} and {_where(each)}")
        known[each.name] = each


def _where(found: Found) -> str:
    return found.source.address.shown if found.source else str(found.directory.path)
