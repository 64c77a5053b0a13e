"""When a folder that changed counts as whole: once it has been seen unchanged for `--watch_settle` seconds.

Seen means looked at: whoever copies a folder may stand still together with the server, because the machine halted or
has too much to do, and time in which nobody looked says nothing about the files. So the seconds are counted from look
to look: what a wait took beyond what was asked for, and most of what a slow look takes, are left out, and after a halt
it takes one look more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from server.loading.files import FolderStamp

#: a folder that changed while its model was loaded may have been written to by that model: it has to settle longer
MOST_PATIENCE = 7  #: doublings
_HALT = 0.5  #: of the time to settle: a wait that took so much longer was one, and counts for no more than that
_LOOK = 0.25  #: of the time to settle: one look counts for no more


@dataclass
class WatchedFolder:
    """What is known of one folder directly inside the mount."""

    now: FolderStamp | None  #: None: it has gone
    since: float  #: when it was first seen so, in the seconds of `Settling.now`
    age: float = 0.0  #: seconds for which it had been so by then, as its files' own times say
    done: bool = False  #: what it holds is served, or was tried
    busy: int = 0  #: models in it that are being loaded
    patience: int = 0  #: doublings of the time to settle
    hangs: bool = False  #: it does not answer


class Settling:
    """Whose files have not changed for long enough. `now` counts the seconds in which somebody looked."""

    def __init__(self, settle: float, *, same_clock: bool) -> None:
        """`settle`: seconds. `same_clock`: the files' times are of this machine's clock."""
        self._settle = settle
        self._same_clock = same_clock
        self._halted = False  #: before this look
        self._began = time.time()  #: when this look did, by the files' clock
        self._seen = 0.0  #: and by `now`: whatever it asks for is unchanged until then at least
        self.now = 0.0

    def waited(self, asked: float, took: float) -> None:
        """A look begins, after a wait of so many seconds."""
        halt = _HALT * self._settle
        self._halted = took > asked + halt
        self._began = time.time()
        self.now += min(asked, halt) if self._halted else min(asked, took)
        self._seen = self.now

    def looked(self, took: float) -> None:
        """That look is over; of what it saw first, `note` is told after it, and `is_settled` is asked then."""
        self.now += min(took, _LOOK * self._settle)

    def note(self, folder: WatchedFolder, stamp: FolderStamp | None) -> None:
        """This look has seen something new."""
        folder.now, folder.since, folder.done = stamp, self.now, False
        folder.age = 0.0
        if stamp is not None and self._same_clock and not self._halted:
            folder.age = max(self._began - stamp.newest, 0.0)

    def is_settled(self, folder: WatchedFolder) -> bool:
        """Nothing has changed for a while. A folder that was made ready elsewhere and renamed has done so already."""
        unchanged = folder.age + max(self._seen - folder.since, 0.0)
        return not folder.busy and unchanged >= self._settle * 2**folder.patience

    def loaded(self, folder: WatchedFolder, *, again: bool) -> bool:
        """`again`: it changed while its model was loaded. Whether it has done so often enough to say so."""
        folder.busy -= 1
        if not again:
            folder.patience = 0
            return False
        folder.done, folder.since, folder.age = False, self.now, 0.0
        folder.patience = min(folder.patience + 1, MOST_PATIENCE)
        return folder.patience == 3
