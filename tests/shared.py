"""What takes long to make and is only read: made once in a run, by whichever worker of pytest-xdist needs it first."""

from __future__ import annotations

import fcntl
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cases import Case, Expected


@dataclass(frozen=True)
class Shared:
    """A folder of things by name."""

    root: Path

    def once(self, name: str, make: Callable[[Path], Any]) -> tuple[Path, Any]:
        """The folder of that name and what `make(folder)` has returned when it filled it, which is kept as a pickle.

        Nobody may write into the folder afterwards. Others wait meanwhile; if it fails, the next one makes it anew.
        """
        folder, answer = self.root / name, self.root / f"{name}.answer"
        self.root.mkdir(exist_ok=True)
        with (self.root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not answer.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                content = pickle.dumps(make(folder))
                answer.write_bytes(content)
            return folder, pickle.loads(answer.read_bytes())

    def case(self, case: Case) -> tuple[Path, Expected]:
        """A case's model, and what is expected of it."""
        folder, expected = self.once(case.name, case.make)
        return folder, expected

    def copy(self, case: Case, folder: Path) -> Expected:
        """The same in a new folder, for those who mount it under a name of theirs or change it."""
        source, expected = self.case(case)
        shutil.copytree(source, folder, symlinks=True)
        return expected
