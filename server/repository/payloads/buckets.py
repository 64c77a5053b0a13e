"""Objects in the stores that models come from, too: S3, Google Cloud Storage, Azure's blobs.

Clients, credentials and endpoints are those that models are downloaded with (`loading.storage.stores`).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import TypeAlias

from server.config.model_uri import Address

#: writes an object of that name below the address
PutObject: TypeAlias = Callable[[str, bytes], None]

_MEDIA = "application/x-ndjson"
_TIMEOUT = 30.0  #: seconds that a store may take for one


def put_into(address: Address) -> PutObject:
    """What writes into a bucket; its library is imported now.

    Raises:
        ImportError, or whatever the library says of credentials and settings.
    """
    return _STORES[address.kind](address)


def new_name() -> str:
    """The name of an object that nobody has written yet: the hour, and a unique one in it."""
    return f"{time.strftime('%Y/%m/%d/%H', time.gmtime())}/{uuid.uuid4().hex}.jsonl"


def _below(path: str, name: str) -> str:
    return "/".join(filter(None, (path.strip("/"), name)))


def _s3(address: Address) -> PutObject:
    from server.loading.storage.stores import s3

    client = s3.client()

    def put(name: str, body: bytes) -> None:
        client.put_object(Bucket=address.host, Key=_below(address.path, name), Body=body, ContentType=_MEDIA)

    return put


def _google(address: Address) -> PutObject:
    from server.loading.storage.stores import gcs

    bucket = gcs.client().bucket(address.host)

    def put(name: str, body: bytes) -> None:
        bucket.blob(_below(address.path, name)).upload_from_string(body, _MEDIA, timeout=_TIMEOUT, retry=None)

    return put


def _azure(address: Address) -> PutObject:
    from server.loading.storage.stores import azure

    client, path = azure.container(address)

    def put(name: str, body: bytes) -> None:
        from azure.storage.blob import ContentSettings

        settings = ContentSettings(content_type=_MEDIA)
        client.upload_blob(_below(path, name), body, content_settings=settings, timeout=_TIMEOUT)

    return put


_STORES: Mapping[str, Callable[[Address], PutObject]] = {"s3": _s3, "gs": _google, "azure": _azure}
