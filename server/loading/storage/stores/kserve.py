"""Stores that kserve-storage downloads from by itself: Hugging Face, OCI registries, and its rarer ones."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from kserve_storage import Storage, kserve_storage

from server.loading.storage.checksums import verify
from server.loading.storage.errors import StorageError
from server.loading.storage.listing import Listing, RemoteFile
from server.loading.storage.stores.base import Store, wanted


class Other(Store):
    """Git, HDFS, Azure file shares, ModelScope: what version is there cannot be asked for."""

    def look(self) -> Listing:
        return Listing(())

    def fetch(self, listing: Listing, folder: Path) -> None:
        Storage.download(self.address.uri, str(folder))
        shutil.rmtree(folder / ".git", ignore_errors=True)


class HuggingFace(Store):
    """A repository of the hub, at a revision."""

    def look(self) -> Listing:
        from huggingface_hub import HfApi

        self._repository, _, revision = f"{self.address.host}/{self.address.path}".partition(":")
        info = HfApi().model_info(self._repository, revision=revision or None, files_metadata=True)
        files = tuple(_of_hub(sibling) for sibling in info.siblings or () if wanted(sibling.rfilename))
        return Listing(files, revision=info.sha or "")

    def fetch(self, listing: Listing, folder: Path) -> None:
        """At the very commit that was listed."""
        Storage.download(f"hf://{self._repository}:{listing.revision}", str(folder))
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        for file in listing.files:
            path = folder / file.name
            try:
                verify(path, file)
            except StorageError:
                path.unlink(missing_ok=True)
                raise


class Registry(Store):
    """A model in the layers of an OCI image, below /models, as KServe's modelcars hold it."""

    def look(self) -> Listing:
        """One manifest, or one for each platform: its text names every layer by its digest."""
        from oras.client import OrasClient

        kserve_storage._setup_oci_tls()
        insecure = os.environ.get(kserve_storage._OCI_INSECURE_REGISTRY_ENV, "").strip().lower() in ("1", "true", "yes")
        config = os.environ.get(kserve_storage._OCI_DOCKER_CONFIG_PATH_ENV, kserve_storage._OCI_DOCKER_CONFIG_PATH)
        client = OrasClient(insecure=insecure)
        target = f"{self.address.host}/{self.address.path}"
        if Path(config).exists():
            kserve_storage._login_from_docker_config(client, target, config)
        manifest = client.get_manifest(target)
        return Listing((), revision=hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest())

    def fetch(self, listing: Listing, folder: Path) -> None:
        Storage.download(self.address.uri, str(folder))


def _of_hub(sibling: Any) -> RemoteFile:
    """Large files are listed with their SHA-256."""
    checksums = {"sha256": sibling.lfs.sha256} if sibling.lfs else {}
    return RemoteFile(sibling.rfilename, -1 if sibling.size is None else sibling.size, sibling.blob_id or "", checksums)
