"""The environment of a worker: the server's, without secrets, which are none of a stranger's code's business."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from server.native_threads import ONE_THREAD

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
