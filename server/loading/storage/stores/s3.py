"""Amazon S3 and what speaks its protocol (MinIO, Ceph, ...)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kserve_storage import Storage

from server.config.model_uri import Address
from server.loading.storage.checksums import from_base64
from server.loading.storage.listing import Listing, RemoteFile
from server.loading.storage.stores.base import Files, ListedObjects

_CHUNK = 1 << 16  #: what is lost of a stream that breaks off
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
#: S3's name of a checksum over the whole object -> ours
_CHECKSUMS = {"ChecksumSHA256": "sha256", "ChecksumSHA1": "sha1", "ChecksumCRC32C": "crc32c", "ChecksumCRC32": "crc32"}


def client() -> Any:
    """boto3's, with the credentials and the endpoint that KServe's variables and storage spec say.

    Each has a session of its own: boto3's default one keeps the first credentials that it finds for good, those of
    another model or that have been replaced meanwhile, and is not for threads (boto3's guide, "Session").
    """
    from boto3.session import Session

    Storage._update_with_storage_spec()
    return Session().client("s3", **Storage._get_s3_client_kwargs())


class S3(Files):
    """Objects below a prefix, or one object."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._client = client()

    def look(self) -> Listing:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.address.host, Prefix=self.address.path
        )
        objects = ((each["Key"], each) for page in pages for each in page.get("Contents", ()))
        found = ListedObjects[Any](self.address.path).named(objects)
        return Listing(tuple(self._file(name, each) for name, each in found))

    def _file(self, name: str, found: dict[str, Any]) -> RemoteFile:
        return RemoteFile(name, found["Size"], found.get("ETag", ""), handle=found["Key"])

    def read(self, file: RemoteFile, start: int) -> Iterator[bytes]:
        wanted = {"Bucket": self.address.host, "Key": file.handle, "IfMatch": file.tag}
        if start:
            wanted["Range"] = f"bytes={start}-"
        answer = self._client.get_object(**wanted, ChecksumMode="ENABLED")
        file.checksums.update(_checksums(answer))
        body = answer["Body"]
        try:
            yield from body.iter_chunks(_CHUNK)
        finally:
            body.close()


def _checksums(answer: dict[str, Any]) -> dict[str, str]:
    """An ETag is the MD5 of an object that came in one part and is not encrypted by a key of its own."""
    known = {}
    if answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
        known = {ours: from_base64(answer[theirs]) for theirs, ours in _CHECKSUMS.items() if answer.get(theirs)}
    if answer.get("ServerSideEncryption", "AES256") == "AES256" and "SSECustomerAlgorithm" not in answer:
        md5 = _MD5.fullmatch(answer.get("ETag", ""))
        known["md5"] = md5[1] if md5 else ""
    return {algorithm: digits for algorithm, digits in known.items() if digits}  # "...-3" is of the parts
