"""What a worker is started with: its command line, its environment, its limits."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server.environments import our_packages
from server.workers.contract import Job
from server.workers.environ import scrubbed
from server.workers.names import SOURCE_ROOT

#: what the fresh interpreter runs: an environment's own view of our packages comes first, since what its requirements
#: brought may have their names; what else this process finds comes last
_BOOT = (
    "import sys; descriptor, first, *path = sys.argv[1:]; sys.argv[1:] = []; "
    "sys.path[:0] = [first] if first else []; sys.path += [entry for entry in path if entry not in sys.path]; "
    "from server.workers.model_child import main; main(int(descriptor))"
)


@dataclass(frozen=True)
class WorkerSpec:
    """A worker of one model."""

    name: str  #: the model's
    job: Job
    python: Path = Path(sys.executable)
    pass_env: Sequence[str] = ()
    memory_limit: int | None = None  #: bytes of resident memory
    load_timeout: float = 300.0  #: seconds
    call_timeout: float = 60.0  #: seconds; a call that takes longer ends the worker

    def command(self, descriptor: int) -> Sequence[str]:
        """The command line; `descriptor` is the worker's end of the connection. The title is for process lists."""
        path = ["", *(os.path.abspath(entry) for entry in (*sys.path, str(SOURCE_ROOT)) if entry)]  # noqa: PTH100
        if self._foreign:  # an environment links to what it may share of this process's packages
            path = [str(our_packages(self.python))]
        title = f"polyserve_worker={self.name}"
        return (str(self.python), "-P", "-u", "-X", title, "-c", _BOOT, str(descriptor), *path)

    def environ(self) -> dict[str, str]:
        """This process's environment without its secrets, and, in another interpreter, without paths of modules."""
        environ = scrubbed(os.environ, self.pass_env)
        if self._foreign:
            environ.pop("PYTHONPATH", None)
        return environ

    @property
    def _foreign(self) -> bool:
        return self.python != Path(sys.executable)
