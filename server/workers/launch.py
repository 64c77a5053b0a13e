"""What a worker is started with: its command line, its environment, its limits.

The environment of a worker: the server's, without secrets, which are none of a stranger's code's business.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from server.runtime.cpu import ONE_THREAD
from server.runtime.own_code import FIRST_ON_PATH, SOURCE_ROOT
from server.runtime.receiving import ReceiveBudget, ReceiveLimits
from server.runtime.sandbox.sandbox import Confinement
from server.runtime.secret_names import is_secret
from server.telemetry.trace_environ import is_asked
from server.workers.messages import WorkerModel
from server.workers.own_spans import ASKED

_MAIN = "server.workers.worker_main"
#: what the fresh interpreter runs: an environment's own view of our packages comes first, since what its requirements
#: brought may have their names; what else this process finds comes last
_BOOT = (
    "import sys; descriptor, first, *path = sys.argv[1:]; sys.argv[1:] = []; "
    "sys.path[:0] = [first] if first else []; sys.path += [entry for entry in path if entry not in sys.path]; "
    f"from {_MAIN} import main; main(int(descriptor))"
)


#: raises LoadError where a model may not be loaded (again) from the files that are there now
Guard: TypeAlias = Callable[[], None]


def nothing_to_guard() -> None:
    """The guard of a model whose files nobody has checked."""


#: makes what one process of a model is confined by; raises LoadError where it cannot be, OSError where there is no room
Confine: TypeAlias = Callable[[], Confinement | None]


def unconfined() -> None:
    """Of a worker that may do what the server may."""


#: bytes of one answer of a worker, unless the server is told otherwise
MAX_ANSWER = 256 * 2**20
#: bytes of an answer's fields and shapes: tens of thousands of columns
_MAX_HEAD = 4 * 2**20
_ANSWERS = 4  #: answers of the longest kind that the server holds at the same time, of all workers


def answer_limits(most: int = MAX_ANSWER, budget: ReceiveBudget | None = None) -> ReceiveLimits:
    """What a worker may send: answers of `most` bytes, that take no more once they are unpacked than texts would."""
    return ReceiveLimits(_MAX_HEAD, most, budget, unfolded=2 * most)


def answer_budget(most: int) -> ReceiveBudget:
    """What all workers together may have the server hold."""
    return ReceiveBudget(_ANSWERS * most)


@dataclass(frozen=True)
class WorkerSpec:
    """A worker of one model."""

    name: str  #: the model's
    job: WorkerModel
    python: Path = Path(sys.executable)
    pass_env: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  #: what the server itself tells it
    memory_limit: int | None = None  #: bytes of resident memory
    load_timeout: float = 300.0  #: seconds
    call_timeout: float = 60.0  #: seconds; a call that takes longer ends the worker
    limits: ReceiveLimits = field(default_factory=answer_limits)  #: of what it may send
    guard: Guard = nothing_to_guard  #: raises LoadError once the files are not those that were checked
    confine: Confine = unconfined  #: called for each process

    def command(self, descriptor: int) -> Sequence[str]:
        """The command line; `descriptor` is the worker's end of the connection. The title is for process lists."""
        path = [FIRST_ON_PATH, *(os.path.abspath(entry) for entry in (*sys.path, str(SOURCE_ROOT)) if entry)]  # noqa: PTH100
        if self._foreign:  # an environment links to what it may share of this process's packages
            path = [str(our_packages(self.python))]
        title = f"polyserve_worker={self.name}"
        return (str(self.python), "-P", "-u", "-X", title, "-c", _BOOT, str(descriptor), *path)

    def environ(self) -> dict[str, str]:
        """This process's environment without its secrets, and, in another interpreter, without paths of modules."""
        traced = {ASKED: "true"} if is_asked(os.environ) else {}
        environ = {**scrubbed(os.environ, self.pass_env), **traced, **self.environment}
        if self._foreign:
            environ.pop("PYTHONPATH", None)
        return environ

    @property
    def _foreign(self) -> bool:
        return self.python != Path(sys.executable)


#: the folder of an environment that holds our own packages and nothing else
OURS = "polyserve"


def our_packages(python: Path) -> Path:
    """That folder, by the environment's interpreter."""
    return python.parent.parent / OURS


#: who has it loads and unloads models, whatever his own may do
_OWN_SECRET = "ADMIN_TOKEN"


def scrubbed(environ: Mapping[str, str], pass_on: Collection[str] = ()) -> dict[str, str]:
    """The variables that a worker gets: all but secrets, those too when they are named in `pass_on`.

    A secret is what is named like one, and what holds an address with a password. The server's own is nobody's.
    """
    wanted = {name for name in pass_on if name.upper() != _OWN_SECRET}
    kept = {name: value for name, value in environ.items() if name in wanted or not is_secret(name, value)}
    return {**kept, **ONE_THREAD}
