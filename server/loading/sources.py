"""Every model that the settings name: those of the mount, and those that stores hold."""

from __future__ import annotations

from pathlib import Path

from adapters.base import ModelDir
from server.config.model_uri import KNOWN, Address
from server.config.settings import Settings
from server.loading.catalog import DEFAULT_NAME, Catalog, Found, NameTaken, NoModelDir, scan
from server.loading.storage.source import Source
from server.runtime.cache_dir import cache_directory


def catalog_of(settings: Settings) -> Catalog:
    """The models of the mount and those of `--model`, or else the one of `STORAGE_URI`.

    KServe leaves STORAGE_URI in the environment of a container whose model it has mounted already, so that it counts
    only where nothing is mounted.

    Raises:
        NoModelDir: the mount cannot be read, or two models have one name.
    """
    addresses = list(settings.models)
    notes: tuple[str, ...] = ()
    mounted = _mounted(settings, bool(addresses or settings.storage_uri))
    if settings.storage_uri is not None:
        uri = settings.storage_uri.shown
        if mounted.found:
            notes = (f"STORAGE_URI={uri} is not used: {settings.model_dir} holds models already",)
        elif settings.storage_uri.kind == "unknown":
            raise NoModelDir(f"STORAGE_URI={uri}: nothing is mounted, and what can be downloaded is {KNOWN}")
        else:
            addresses.insert(0, (settings.model_name or DEFAULT_NAME, settings.storage_uri))
    if not addresses:
        return Catalog(mounted.found, mounted.single, (*mounted.notes, *notes))
    root = settings.storage_dir or cache_directory("models")
    found = (*mounted.found, *(_stored(name, address, root) for name, address in addresses))
    _check_names(found)
    return Catalog(found, single=len(found) == 1, notes=(*(mounted.notes if mounted.found else ()), *notes))


def _mounted(settings: Settings, stored: bool) -> Catalog:
    """What the mount holds. It may be absent where there are other models, unless it was named."""
    if stored and settings.model_dir == Settings.model_dir and not settings.model_dir.exists():
        return Catalog((), single=False)
    return scan(settings.model_dir, settings.model_name, signed=settings.verify_key is not None)


def _stored(name: str, address: Address, root: Path) -> Found:
    return Found(name, ModelDir.of(root), source=Source(name, address, root))


def _check_names(found: tuple[Found, ...]) -> None:
    known: dict[str, Found] = {}
    for each in found:
        if each.name in known:
            raise NameTaken(f"two models are called {each.name!r}: {_where(known[each.name])} and {_where(each)}")
        known[each.name] = each


def _where(found: Found) -> str:
    return found.source.address.shown if found.source else str(found.directory.path)
