"""Hot reload: looks at the mount every so often, and loads what has changed once it has settled.

    look: a fingerprint of each folder --changed--> wait until it is settled --> scan the mount anew
                                                                                    |
    the old version serves on <-- load beside it, self-test, swap in one step <-- models and versions that differ

Polling, for it works on network mounts, behind Kubernetes' links and in containers alike. What failed is not tried
again until its files change. What was unloaded, too, stays so until then. A folder that does not answer keeps what it
serves, says so in the index, and is loaded anew once it answers; the others are looked at without it (`lookout`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from adapters.modeldir import inside, legible
from server.config.settings import Settings
from server.loading import changes
from server.loading.catalog import MOST_MODELS, Catalog, Found, NoModelDir, folder_names
from server.loading.files import NO_FILES, FolderStamp
from server.loading.lookout import HANGS, Lookout, NoAnswer, at
from server.loading.memory_budget import ModelKey
from server.loading.patient_pool import PatientPool
from server.loading.sources import Rescan
from server.repository.settling import Settling, WatchedFolder

if TYPE_CHECKING:  # it imports KServe, which is not to be imported yet
    from server.repository.repository import Repository

log = logging.getLogger("kserve")

#: a look may take this share of the time, whatever the interval says
_SHARE = 0.02
#: folders that are looked at in one go; requests come first in between
_AT_ONCE = 32
_BREATH = 0.002  #: seconds
#: one look in so many goes into a folder that holds too much
_SELDOM = 8
#: seconds after the last load until what is only needed for loading is let go of
_IDLE = 60.0

#: the name under which the files directly inside the mount are kept
_LOOSE = ""


class Watcher:
    """Keeps a repository in step with its mount. Make it before the first models are loaded, start it after."""

    @classmethod
    def of(cls, settings: Settings, catalog: Catalog, rescan: Rescan) -> Self:
        """The watcher that the settings ask for, which may be none at all: it never looks then."""
        found = catalog.found if settings.watch else ()
        times = (settings.watch_interval, settings.watch_settle)
        watcher = cls(settings.model_dir, found, rescan, *times, settings.max_models, rescan.lookout)
        if not settings.watch or not settings.model_dir.exists():  # all models come from stores
            watcher.stop()
        return watcher

    def __init__(
        self,
        root: Path,
        found: Iterable[Found],
        rescan: Callable[[], Catalog],
        interval: float,
        settle: float,
        most: int = MOST_MODELS,
        lookout: Lookout | None = None,
    ) -> None:
        """`found` is about to be loaded. `interval`, `settle`: seconds between looks, and without a change.

        `most` folders are looked at.
        """
        self._lookout = lookout or Lookout(root)
        self._most = most
        self._root = root
        self._rescan = rescan
        self._interval = interval
        self._settling = Settling(settle, same_clock=changes.is_local(root))
        self._seen: dict[ModelKey, FolderStamp] = {}  #: the files from which each was loaded last
        self._folders: dict[str, WatchedFolder] = {}
        self._complaint = ""
        self._last: float | None = None  #: when something was loaded last, if nobody was told since that nothing is
        self._cost = 0.0  #: seconds of processor time that one look takes
        self._looks = 0
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        if noted := tuple(found):
            self._note(*noted)
        for each in noted:
            if each.source is None:  # one that has gone before the first look is missed at that
                self._folders[self._folder_of(each)] = WatchedFolder(NO_FILES, self._settling.now, done=True)

    def start(self, repository: Repository, threads: int, when_idle: Callable[[], None] = lambda: None) -> None:
        """Begin to watch; up to `threads` models are loaded at the same time, and `when_idle` is called long after."""
        if self._stopped.is_set():
            return
        self._repository = repository
        self._when_idle = when_idle
        self._pool = PatientPool(threads, "reload")
        threading.Thread(target=self._run, name="watcher", daemon=True).start()

    def stop(self) -> None:
        """Load nothing more."""
        self._stopped.set()

    def note(self, found: Found) -> None:
        """A model is about to be loaded from the files that are there now, whoever wants it."""
        if not self._stopped.is_set():
            self._note(found)

    def _note(self, *found: Found) -> None:
        self._last = time.monotonic()
        mounted = [each for each in found if each.source is None]
        with suppress(NoAnswer):
            self._seen |= self._lookout.look(lambda: {each.key: _stamp(each) for each in mounted})

    def _run(self) -> None:
        while True:
            asked, begun = max(self._interval, self._cost / _SHARE), time.monotonic()
            if self._stopped.wait(asked):
                return
            try:
                self.look(asked, time.monotonic() - begun)
                self._complaint = ""
            except (OSError, NoModelDir) as error:
                self._complain(f"the models directory {self._root} cannot be looked at: {error}")
            except Exception:
                log.exception("looking at the models directory failed")
            if self._last is not None and time.monotonic() - self._last > _IDLE:
                self._last = None
                self._when_idle()

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            log.warning("%s", text)
        self._complaint = text

    # one look

    def look(self, asked: float, waited: float) -> None:
        """Find out what has changed, and begin to load what has settled.

        The look before was `waited` seconds ago, which should have been those that were `asked` for.

        Raises:
            OSError, NoModelDir: the mount cannot be read.
        """
        self._settling.waited(asked, waited)
        self._take_fingerprints()
        with self._lock:
            fresh = {name: folder for name, folder in self._folders.items() if not folder.done}
            due = {name for name, folder in fresh.items() if self._settling.is_settled(folder)}
            if not due:
                return
            unsettled = fresh.keys() - due
        self._act(due, unsettled)

    def _take_fingerprints(self) -> None:
        """Of every folder directly inside the mount, and of the files beside them."""
        self._looks += 1
        root = Path(os.path.abspath(self._root))  # noqa: PTH100  (by its own name, as `catalog` has it)
        begun = time.monotonic()
        prints, self._cost = self._lookout.look(lambda: self._fingerprints(root))
        hanging = self._lookout.hanging
        with self._lock:
            self._settling.looked(time.monotonic() - begun)
            for name in {*prints, *self._folders}:
                self._update(name, prints.get(name))
                self._note_hanging(name, name in hanging)

    def _fingerprints(self, root: Path) -> tuple[dict[str, FolderStamp], float]:
        """... and the processor time that they took."""
        start = time.thread_time()
        at(str(root))
        prints = {_LOOSE: changes.of_files(root, root)}
        names, _ = folder_names(root, self._most, self._folders)
        for count, name in enumerate(names, start=1):
            prints[name] = self._fingerprint(root, name)
            if not count % _AT_ONCE:
                time.sleep(_BREATH)
        return prints, time.thread_time() - start

    def _fingerprint(self, root: Path, name: str) -> FolderStamp:
        """A folder that is too large is walked through now and then only."""
        known = self._folders.get(name)
        if known is not None and known.now is not None and known.now.problem and (self._looks + len(name)) % _SELDOM:
            return known.now
        folder = f"{root}/{name}"
        if not at(folder):
            return known.now if known is not None and known.now is not None else NO_FILES
        try:
            if not os.path.islink(folder) or inside(Path(folder), root):  # noqa: PTH114  (thousands of paths take longer)
                return changes.of_folder(folder, root)
        except OSError:  # it cannot be listed: the index says why
            pass
        return NO_FILES

    def _update(self, name: str, new: FolderStamp | None) -> None:
        folder = self._folders.get(name)
        if new and new.problem and not (folder and folder.now and folder.now.problem):
            log.warning("%s: %s; changes of the others are not noticed", name or self._root, new.problem)
        if folder is None:
            self._folders[name] = folder = WatchedFolder(new, self._settling.now)
            self._settling.note(folder, new)
        elif new is None and folder.now is None and folder.done and not folder.busy:  # who is busy with it will say so
            del self._folders[name]
        elif (new and new.files) != (folder.now and folder.now.files):
            self._settling.note(folder, new)
        elif new is not None:
            folder.now = new

    def _note_hanging(self, name: str, hangs: bool) -> None:
        folder = self._folders.get(name)
        if folder is None or folder.hangs == hangs:
            return
        folder.hangs = hangs
        self._settling.note(folder, folder.now)
        if hangs:
            log.warning("%s: %s; what it serves stays as it is, and the others are watched without it", name, HANGS)
        else:
            log.info("%s: the folder answers again, and is loaded anew", name)
            self._seen = {key: stamp for key, stamp in self._seen.items() if key[0] != legible(name)}

    # acting on it

    def _act(self, due: set[str], unsettled: set[str]) -> None:
        mounted = self._repository.mounted()
        by_name: dict[str, list[Found]] = {name: [] for name in mounted}
        for each in self._rescan().found:
            if each.source is None:
                by_name.setdefault(each.name, []).append(each)
        wanted: dict[str, tuple[list[Found], set[str]]] = {}
        for name, found in by_name.items():
            if any(each.problem == HANGS for each in found) and name in mounted:  # which versions it has nobody can say
                found = [replace(each, problem=HANGS) for each in mounted[name]]
            folders = {self._folder_of(each) for each in (*found, *mounted.get(name, ()))}
            folders = set(self._folders) if _LOOSE in folders else folders & set(self._folders)
            if folders & due and not folders & unsettled:
                wanted[name] = (found, folders)
            elif folders & due:
                due -= folders
        with self._lock:
            for folder in due:
                self._folders[folder].done = True
            for _, folders in wanted.values():
                for folder in folders:
                    self._folders[folder].busy += 1
        for name, (found, folders) in wanted.items():
            self._pool.submit(self._renew, name, found, folders)

    def _folder_of(self, found: Found) -> str:
        """The folder directly inside the mount that holds a model; `_LOOSE` for one that fills the mount."""
        path = (found.home or found.directory.path).relative_to(found.directory.root)
        return path.parts[0] if path.parts else _LOOSE

    def _renew(self, name: str, found: list[Found], folders: set[str]) -> None:
        again = False
        try:
            changed = self._changed(found)
            if not self._stopped.is_set():
                self._repository.renew(name, found, changed)
                self._forget_all_but(name, found)
                again = bool(changed) and bool(self._changed(found))
        except Exception:
            log.exception("model %s could not be looked at again", name)
        finally:
            with self._lock:
                for each in folders:
                    self._finish(name, self._folders.get(each), again)

    def _changed(self, found: list[Found]) -> list[Found]:
        """Those whose files are not those that were loaded last. A folder that is still empty is none yet."""
        unknown = [each for each in found if each.problem and each.key not in self._seen]
        files = {each.key: self._seen.get(each.key, NO_FILES) for each in found}
        return [each for each in found if each in unknown or files[each.key] != changes.of_found(each)]

    def _forget_all_but(self, name: str, found: list[Found]) -> None:
        kept = {each.key for each in found}
        for key in [key for key in list(self._seen) if key[0] == name and key not in kept]:
            del self._seen[key]

    def _finish(self, name: str, folder: WatchedFolder | None, again: bool) -> None:
        """`again`: the folder changed while its model was loaded."""
        if folder is None:
            return
        self._last = time.monotonic()
        if self._settling.loaded(folder, again=again):
            log.warning(
                "model %s: its folder changes whenever it is loaded. Does the model write into it? Such a file should "
                "lie elsewhere, or have a name that begins with a dot",
                name,
            )


def _stamp(found: Found) -> FolderStamp:
    return changes.of_found(found) if at(str(found.directory.path)) else NO_FILES
