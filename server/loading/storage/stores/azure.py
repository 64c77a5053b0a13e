"""Azure Blob Storage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kserve_storage import Storage

from server.config.model_uri import Address
from server.loading.storage.checksums import from_base64
from server.loading.storage.listing import Listing, RemoteFile
from server.loading.storage.stores.base import Files, ListedObjects


def container(address: Address) -> tuple[Any, str]:
    """Azure's client of a container, with the credentials that KServe's variables say, and the path in it."""
    from azure.storage.blob import ContainerClient

    _, account_url, name, path = Storage._parse_azure_uri(_with_path(address.uri))
    credential = Storage._get_azure_storage_token() or Storage._get_azure_storage_access_key()
    client = ContainerClient(account_url, name, credential=credential, retry_total=0, permit_redirects=False)
    return client, path


class AzureBlobs(Files):
    """Blobs below a prefix of a container, or one blob. A query in the address is a shared access signature.

    The client's own retries are turned off: `Patience` tries again, sooner.
    """

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._client, self._path = container(address)

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
