"""What a download's process is told: of the server's secrets, those of its own store alone."""

from __future__ import annotations

import re
from collections.abc import Mapping

from server.runtime.secret_names import is_secret

#: allows redirects to addresses that are not public (`--private_redirects`)
PRIVATE_REDIRECTS, ALLOWED = "POLYSERVE_PRIVATE_REDIRECTS", "true"

#: kind of store -> the variables that may be secrets of it; KServe's names, and those of the stores' own libraries
_OWN = {
    "s3": r"AWS_.*|S3_.*|STORAGE_CONFIG|BUCKET_NAME",
    "gs": r"GOOGLE_.*|GCP_.*|GCS_.*|GCLOUD_.*|CLOUDSDK_.*|STORAGE_EMULATOR_HOST|STORAGE_CONFIG",
    "azure": r"AZURE_.*|AZ_.*|STORAGE_CONFIG|IDENTITY_.*|MSI_.*",
    "http": r"STORAGE_CONFIG",
    "hf": r"HF_.*|HUGGING_?FACE_.*",
    "oci": r"OCI_.*|DOCKER_.*|REGISTRY_.*",
}
#: how the stores are reached, which may hold a password
_PROXIES = re.compile(r"(https?|ftp|all|no)_proxy", re.IGNORECASE)
#: what no store needs
_NOBODYS = re.compile(r"ADMIN_TOKEN", re.IGNORECASE)


def download_environ(
    kind: str, host: str, environ: Mapping[str, str], path: str, *, private_redirects: bool
) -> dict[str, str]:
    """The environment of a download from a store of this kind; `path` is where our modules are found.

    A store of KServe's rarer kinds may want anything: it gets all but the server's own secrets.
    """
    own = re.compile(_OWN.get(kind, ".*" if kind == "other" else "(?!)"), re.IGNORECASE)
    headers = f"{host}-headers" if kind == "http" else ""

    def is_passed(name: str, value: str) -> bool:
        if _NOBODYS.fullmatch(name):
            return False
        if name.endswith("-headers"):  # for one host
            return name == headers or kind == "other"
        return bool(own.fullmatch(name) or _PROXIES.fullmatch(name)) or not is_secret(name, value)

    kept = {name: value for name, value in environ.items() if is_passed(name, value)}
    kept.pop(PRIVATE_REDIRECTS, None)
    told = {PRIVATE_REDIRECTS: ALLOWED} if private_redirects else {}
    return {**kept, "PYTHONPATH": path, "HF_HUB_DISABLE_PROGRESS_BARS": "1", **told}
