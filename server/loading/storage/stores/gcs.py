"""Google Cloud Storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from server.config.model_uri import Address
from server.loading.storage.checksums import from_base64
from server.loading.storage.listing import Listing, RemoteFile
from server.loading.storage.stores.base import Files, ListedObjects

_CHUNK = 8 << 20  #: of one request


def client() -> Any:
    """Google's, with the credentials that its variables say; without any it asks as anybody may."""
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud.storage import Client

    try:
        return Client()
    except DefaultCredentialsError:
        return Client.create_anonymous_client()


class GoogleCloud(Files):
    """Objects below a prefix, or one object. Without credentials the bucket is asked as anybody may.

    Google's own retries, of two minutes each, are turned off: `Patience` tries again.
    """

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._client = client()

    def look(self) -> Listing:
        blobs = self._client.list_blobs(self.address.host, prefix=self.address.path, retry=None)
        found = ListedObjects[Any](self.address.path).named((blob.name, blob) for blob in blobs)
        return Listing(tuple(_file(name, blob) for name, blob in found))

    def read(self, file: RemoteFile, start: int) -> Iterator[bytes]:
        blob = file.handle
        with blob.open("rb", chunk_size=_CHUNK, if_generation_match=blob.generation, retry=None) as stream:
            stream.seek(start)
            while chunk := stream.read(_CHUNK):
                yield chunk


def _file(name: str, blob: Any) -> RemoteFile:
    checksums = {"md5": from_base64(blob.md5_hash), "crc32c": from_base64(blob.crc32c)}
    known = {algorithm: digits for algorithm, digits in checksums.items() if digits}
    return RemoteFile(name, blob.size, f"{blob.generation}", known, blob)
