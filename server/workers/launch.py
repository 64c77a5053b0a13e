"""What a worker is started with: its command line, its environment, its limits.

The environment of a worker: the server's, without secrets, which are none of a stranger's code's business.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.runtime.cpu import ONE_THREAD
from server.workers.import_names import SOURCE_ROOT
from server.workers.messages import WorkerModel

#: what the fresh interpreter runs: an environment's own view of our packages comes first, since what its requirements
#: brought may have their names; what else this process finds comes last
_BOOT = (
    "import sys; descriptor, first, *path = sys.argv[1:]; sys.argv[1:] = []; "
    "sys.path[:0] = [first] if first else []; sys.path += [entry for entry in path if entry not in sys.path]; "
    "from server.workers.worker_main import main; main(int(descriptor))"
)


@dataclass(frozen=True)
class WorkerSpec:
    """A worker of one model."""

    name: str  #: the model's
    job: WorkerModel
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


def our_packages(python: Path) -> Path:
    """The folder of an environment, by its interpreter, that holds our own packages and nothing else."""
    return python.parent.parent / "polyserve"


_SECRET_NAME = re.compile(
    r"ADMIN_TOKEN|STORAGE_CONFIG|SSH_AUTH_SOCK"
    r"|(?:AWS|AZURE|GOOGLE|GCP|GCS|GCLOUD|CLOUDSDK|S3|HF)_.*"
    r"|.*(?:TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY).*"
    r"|.*_(?:KEY|KEYS|KEY_ID|PWD|AUTH)",
    re.IGNORECASE,
)
#: harmless, though their names look otherwise: where Hugging Face finds its files
_HARMLESS = frozenset({*ONE_THREAD, "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_ENDPOINT"})
#: an address with a password in it: https://user:password@host
_SECRET_VALUE = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/@]*:[^\s/@]+@", re.IGNORECASE)


def scrubbed(environ: Mapping[str, str], pass_on: Collection[str] = ()) -> dict[str, str]:
    """The variables that a worker gets: all but secrets, those too when they are named in `pass_on`.

    A secret is what is named like one, and what holds an address with a password.
    """
    kept = {name: value for name, value in environ.items() if name in pass_on or not _is_secret(name, value)}
    return {**kept, **ONE_THREAD}


def _is_secret(name: str, value: str) -> bool:
    if name in _HARMLESS:
        return False
    return _SECRET_NAME.fullmatch(name) is not None or _SECRET_VALUE.search(value) is not None
