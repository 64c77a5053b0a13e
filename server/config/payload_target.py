"""Where `--payload_log` sends: read as it is given, so that a mistake ends the start, and not the log."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from server.config.model_uri import Address

#: kinds of addresses that are buckets -> the library that writes into them
_LIBRARIES = {"s3": "boto3", "gs": "google.cloud.storage", "azure": "azure.storage.blob"}
#: an address without its scheme, which nobody means as a file
_HOST = re.compile(r"[A-Za-z0-9.-]+:[0-9]{1,5}(/.*)?")
_KNOWN = (
    "http:// or https:// (a collector), s3://bucket/path, gs://bucket/path, "
    "https://account.blob.core.windows.net/container/path, or the path of a file"
)


def payload_target(text: str) -> str:
    """The target, if payloads can be sent there.

    Raises:
        ValueError: completes "--payload_log=text: ...".
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        if _HOST.fullmatch(text):
            raise ValueError(f"must begin with http://, as in http://{text}; a file of that name is written ./{text}")
        path = Path(text).absolute()
        if path.is_dir() or not path.parent.is_dir():
            raise ValueError("must be the path of a file, in a directory that is there")
        return str(path)
    if scheme in ("s3", "gs") and not rest.partition("/")[0]:
        raise ValueError(f"must name a bucket, such as {scheme}://bucket/path")
    if (address := bucket_of(text)) is not None:
        if not _is_there(library := _LIBRARIES[address.kind]):
            raise ValueError(f"needs {library}, which is not installed: it comes with kserve-storage")
        return text
    if scheme in ("http", "https"):
        if not urlsplit(text).hostname:
            raise ValueError("must name the host of a collector, such as http://collector:8080/events")
        return text
    raise ValueError(f"must be {_KNOWN}")


def bucket_of(text: str) -> Address | None:
    """The bucket, or container, that a target names; None: it is none of them.

    Raises:
        ValueError: it is one, but not whole.
    """
    if "://" not in text:
        return None
    try:
        address = Address.read(text)
    except ValueError:
        if ".blob.core.windows.net" in text.partition("?")[0]:
            raise
        return None
    return address if address.kind in _LIBRARIES else None


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
