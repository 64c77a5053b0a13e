"""Azure Blob Storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kserve_storage import Storage

from server.config.model_uri import Address
from server.loading.storage.checksums import from_base64
from server.loading.storage.listing import Listing, RemoteFile
from server.loading.storage.stores.base import Files, ListedObjects


class AzureBlobs(Files):
    """Blobs below a prefix of a container, or one blob. A query in the address is a shared access signature.

    The client's own retries are turned off: `Patience` tries again, sooner.
    """

    def __init__(self, address: Address) -> None:
        from azure.storage.blob import ContainerClient

        super().__init__(address)
        _, account_url, container, self._path = Storage._parse_azure_uri(_with_path(address.uri))
        credential = Storage._get_azure_storage_token() or Storage._get_azure_storage_access_key()
        self._client = ContainerClient(
            account_url, container, credential=credential, retry_total=0, permit_redirects=False
        )

    def look(self) -> Listing:
        blobs = self._client.list_blobs(name_starts_with=self._path or None)
        found = ListedObjects[Any](self._path).named((blob.name, blob) for blob in blobs if not _is_folder(blob))
        return Listing(tuple(_file(name, blob) for name, blob in found))

    def read(self, file: RemoteFile, start: int) -> Iterator[bytes]:
        from azure.core import MatchConditions

        if not file.size:
            return
        client = self._client.get_blob_client(file.handle)
        stream = client.download_blob(offset=start, etag=file.tag, match_condition=MatchConditions.IfNotModified)
        yield from stream.chunks()


def _with_path(uri: str) -> str:
    """kserve-storage wants a slash behind the container."""
    head, mark, query = uri.partition("?")
    return f"{head if head.count('/') > 3 else f'{head}/'}{mark}{query}"


def _is_folder(blob: Any) -> bool:
    """An account with hierarchical names lists folders as empty blobs with this mark."""
    return bool((blob.metadata or {}).get("hdi_isfolder") == "true")


def _file(name: str, blob: Any) -> RemoteFile:
    md5 = from_base64(blob.content_settings.content_md5)
    return RemoteFile(name, blob.size, blob.etag, {"md5": md5} if md5 else {}, blob.name)
