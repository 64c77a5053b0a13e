"""Where a model is stored: `s3://bucket/path` and its like, and how such an address may be shown."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from server.config.flags import types

#: what may be written, for messages
KNOWN = (
    "s3://bucket/path, gs://bucket/path, https://host/file, https://account.blob.core.windows.net/container/path, "
    "hf://owner/model, oci://registry/image, file:///path"
)
_OTHERS = ("git", "hdfs", "webhdfs", "modelscope")
_AZURE_BLOB = re.compile(r".+\.(blob\.core\.windows\.net|z\d{1,2}\.blob\.storage\.azure\.net)")
_AZURE_FILE = re.compile(r".+\.(file\.core\.windows\.net|z\d{1,2}\.file\.storage\.azure\.net)")


@dataclass(frozen=True)
class Address:
    """A URI that has been read. `kind` names what serves it: s3, gs, azure, http, hf, oci, file, other, or unknown."""

    uri: str
    kind: str
    host: str  #: the bucket, the registry, the account's host
    path: str  #: without a leading slash

    @classmethod
    def read(cls, uri: str) -> Address:
        """
        Raises:
            ValueError: it is no address that models are loaded from; the message completes "URI: ...".
        """
        if not uri.isprintable() or " " in uri:
            raise ValueError("must be a URI without spaces")
        try:
            parts = urlsplit(uri)
            host = parts.hostname if parts.scheme in ("http", "https") else parts.netloc
        except ValueError as error:
            raise ValueError(f"must be a URI ({error})") from error
        kind = _kind(parts)
        if not kind and os.path.exists(uri):  # noqa: PTH110  (which raises nothing, whatever is written)
            raise ValueError(f"is a path here: write {Path(uri).absolute().as_uri()}")
        if not kind:
            raise ValueError(f"must be one of {KNOWN}")
        path = parts.path.lstrip("/") if kind != "file" else parts.path
        if (kind != "file" and not host) or (kind in ("http", "azure", "hf", "oci", "file") and not path.strip("/")):
            raise ValueError(f"is not whole: write {KNOWN}")
        if kind == "hf" and path.count("/"):
            raise ValueError("must be hf://owner/model or hf://owner/model:revision")
        return cls(uri, kind, host or "", path)

    @classmethod
    def of_kserve(cls, uri: str) -> Address:
        """As `read`; but what KServe alone can mount (`pvc://`, `oci+native://`, ...) is of the kind unknown.

        Raises:
            ValueError: it is no URI.
        """
        try:
            return cls.read(uri)
        except ValueError:
            if not re.match(r"[a-z][a-z0-9+.-]*://[!-~]+$", uri) or _kind(urlsplit(uri)):
                raise
            return cls(uri, "unknown", "", "")

    @property
    def shown(self) -> str:
        """The URI without what may be secret: a user's name and password, and the query (a signature)."""
        return without_secrets(self.uri)


def named(text: str) -> tuple[tuple[str, Address], ...]:
    """`NAME=URI`, any number of them with white space between.

    Raises:
        ValueError: one is no such thing, or two have one name.
    """
    models: dict[str, Address] = {}
    read_name = types.path_segment("NAME").read
    for word in text.split():
        name, equals, uri = word.partition("=")
        if not equals or "://" in name:
            raise ValueError(f"{without_secrets(word)!r} must be NAME=URI, as in iris=s3://bucket/iris")
        read_name(name)
        if name in models:
            raise ValueError(f"{name!r} is the name of {models[name].shown} already")
        models[name] = Address.read(uri)
    if not models:
        raise ValueError("must be NAME=URI, as in iris=s3://bucket/iris")
    return tuple(models.items())


def without_secrets(text: str) -> str:
    """A text with every URI's user, password and query left out."""
    text = re.sub(r"(?<=://)[^/\s@]*@", "", text)
    return re.sub(r"(?<=[\w/])\?[^\s'\"<>)]+", "", text)


def _kind(parts: SplitResult) -> str:
    scheme, host = parts.scheme.lower(), parts.hostname or ""
    if scheme in ("http", "https"):
        if scheme == "https" and _AZURE_BLOB.fullmatch(host):
            return "azure"
        if scheme == "https" and (_AZURE_FILE.fullmatch(host) or parts.path.endswith(".git")):
            return "other"
        return "http"
    if scheme in ("s3", "gs", "hf", "oci", "file"):
        return scheme
    return "other" if scheme in _OTHERS else ""
