"""Which variables of the environment are secrets: what is named like one, and what holds an address with a password."""

from __future__ import annotations

import re

from server.runtime.cpu import ONE_THREAD

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


def is_secret(name: str, value: str) -> bool:
    """Whether a variable is none of a model's business."""
    if name in _HARMLESS:
        return False
    return _SECRET_NAME.fullmatch(name) is not None or _SECRET_VALUE.search(value) is not None
