"""After a restart there is no old model to keep serving: an older version serves where none that should can be loaded.

A version that fails keeps the old one serving; so it does through a restart, and when the old one was evicted.
"""

from __future__ import annotations

from server.catalog import Found, older_versions
from server.entries import Shelf


def due(shelf: Shelf | None) -> bool:
    """Whether the newest of the model's versions has failed, none serves, and none is on its way."""
    entries = list(shelf.entries.values()) if shelf is not None else []
    return bool(entries) and entries[-1].failed and not any(entry.available or entry.busy for entry in entries)


def next_older(shelf: Shelf) -> Found | None:
    """The newest older version that was not tried yet. Looks at the folder."""
    entries = list(shelf.entries.values())
    tried = {entry.found.version for entry in entries if entry.failed}
    return next((older for older in older_versions(entries[-1].found) if older.version not in tried), None)
