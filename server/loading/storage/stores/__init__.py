"""One file a kind of store: what it lists, and how its bytes are read.

Credentials, endpoints and certificates are those of kserve-storage, from KServe's environment variables. The bytes of
objects are read here, since kserve-storage leaves out empty objects, takes a prefix for a folder, writes wherever a
key leads and compares no checksums; `kserve` hands it the stores that it knows alone.
"""

from __future__ import annotations

import importlib

from server.config.model_uri import Address
from server.loading.storage.stores.base import Files, Store

__all__ = ["Files", "Store", "open_store"]

_KINDS = {
    "s3": "s3:S3",
    "gs": "gcs:GoogleCloud",
    "azure": "azure:AzureBlobs",
    "http": "web:Web",
    "file": "local:Local",
    "hf": "kserve:HuggingFace",
    "oci": "kserve:Registry",
    "other": "kserve:Other",
}


def open_store(address: Address) -> Store:
    """The store of an address; its library is imported now.

    Raises:
        ImportError, or whatever the library says of credentials and settings.
    """
    module, _, name = _KINDS[address.kind].partition(":")
    store: Store = getattr(importlib.import_module(f"{__name__}.{module}"), name)(address)
    return store
