"""Signatures of model folders: OpenSSF model-signing's `model.sig`, verified before anything else of a folder is read.

The signature lists every file with its digest, and is made by whom `--verify_key`, `--verify_certificates` or
`--verify_identity` names (signers.py). Whatever lies in the folder must be in the list, and the other way round. Links
count as what they lead to, so that a folder that was signed as plain files verifies on a mount of Kubernetes, which is
made of links.

What is vouched for is what was there while it was read: whoever can change the mount between the verification and the
load needs no signature. Mount models read-only.
"""

from __future__ import annotations

import base64
import copy
import json
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from adapters.base import LoadError, ModelDir
from adapters.formats import json_text
from server.loading import files
from server.loading.signers import Signer
from server.text import printable

__all__ = ["SIGNATURE", "Verifier"]

SIGNATURE = "model.sig"  #: as model-signing's command line names it
_LIMIT = 64 * 2**20  #: bytes of a signature; one takes some 200 for each file

#: what model-signing never signs, beside the signature itself
_UNSIGNED = (SIGNATURE, ".git", ".gitattributes", ".github", ".gitignore")

#: what a signature calls an algorithm -> what model-signing takes, where the two differ
_ALGORITHMS = {"blake2b": "blake2"}
#: how the files were read whose signature does not say it: those of model-signing before 1.0
_BEFORE_1_0 = {"method": "files", "hash_type": "sha256"}


@dataclass(frozen=True)
class Verifier:
    """Verifies folders that one signer must have signed."""

    signer: Signer

    def verify(self, directory: ModelDir) -> None:
        """Make sure that the folder holds what was signed, and nothing else. Reads all of it, on one core.

        model-signing verifies the signature, then asks for the digests of the files, then compares. The comparison is
        made before, with words.

        Raises:
            LoadError: it does not; the message names the file.
        """
        path = self._signature(directory)
        config = copy.copy(self._config)
        config.set_hashing_config(_hashing(lambda: _digests(directory, _Signed.of(path))))
        try:
            config.verify(directory.path, path)
        except LoadError:
            raise
        except OSError as error:
            raise LoadError(f"{SIGNATURE} cannot be read: {error.strerror}") from error
        except Exception as error:  # a file that is no signature can fail anywhere in the reader
            raise LoadError(self._refusal(error)) from error

    @cached_property
    def _config(self) -> Any:
        """A `model_signing.verifying.Config` with the signer: its files, and Sigstore's roots, are read once."""
        from model_signing import verifying

        config = verifying.Config()
        self.signer.use(config)
        return config

    def _signature(self, directory: ModelDir) -> Path:
        if SIGNATURE not in directory.files:
            raise LoadError(
                f"the folder is not signed: {SIGNATURE} is missing, which {self.signer.option} asks for; "
                f"make it with `model_signing {self.signer.command} --signature FOLDER/{SIGNATURE} FOLDER`"
            )
        path = directory.file(SIGNATURE)
        if path.stat().st_size > _LIMIT:
            raise LoadError(f"{SIGNATURE} is longer than {_LIMIT // 2**20} MiB")
        try:
            json_text.check(path.read_bytes())  # model-signing reads it before it knows whose it is
        except json_text.TooMuchJson as error:
            raise LoadError(f"{SIGNATURE} is no signature: {error}") from error
        return path

    def _refusal(self, error: Exception) -> str:
        text = printable(" ".join(str(error).split()) or type(error).__name__)
        if _is_anothers(error):
            return f"{SIGNATURE} was not made {self.signer.by}" + (f": {text}" if self.signer.causes else "")
        return f"{SIGNATURE} is damaged, or no signature as {self.signer.option} asks for: {text}"


@dataclass(frozen=True)
class _Signed:
    """What a signature that has been verified says of the files."""

    how: dict[str, Any]  #: model-signing's arguments of the digests
    digests: dict[str, str]  #: in hexadecimal, by file, or by file and range (`file:from:to`) where it is in shards

    @property
    def shards(self) -> bool:
        return bool(self.how["method"] == "shards")

    @classmethod
    def of(cls, path: Path) -> _Signed:
        statement = json.loads(base64.b64decode(json.loads(path.read_bytes())["dsseEnvelope"]["payload"]))
        predicate = statement["predicate"]
        if "resources" in predicate:
            digests = {each["name"]: each["digest"] for each in predicate["resources"]}
            return cls(predicate["serialization"], digests)
        return cls(_BEFORE_1_0, {each["name"]: each["digest"]["sha256"] for each in statement["subject"]})


def _is_anothers(error: Exception) -> bool:
    """Whether this says that a whole signature is somebody else's."""
    from cryptography.exceptions import InvalidSignature
    from OpenSSL.crypto import X509StoreContextError
    from sigstore.errors import VerificationError

    return isinstance(error, InvalidSignature | X509StoreContextError | VerificationError) or "Key mismatch" in str(
        error
    )


def _hashing(digests: Callable[[], Any]) -> Any:
    """A `model_signing.hashing.Config` that reads the files our way: all that there are, links followed."""
    from model_signing import hashing

    class Hashing(hashing.Config):
        def hash(self, model_path: object, *, files_to_hash: object = None) -> Any:
            return digests()

        def add_ignored_paths(self, **_: object) -> None:
            """What the signer left out is not signed."""

    return Hashing()


def _digests(directory: ModelDir, signed: _Signed) -> Any:
    """The digests of the folder's files (a `model_signing.manifest.Manifest`), where they are what was signed.

    Raises:
        LoadError: they are not.
    """
    present = [name for name in files.paths(directory, hidden=True) if Path(name).parts[0] not in _UNSIGNED]
    listed = {name.rsplit(":", 2)[0] if signed.shards else name for name in signed.digests}
    # A file in shards has as many as it needs, so that an empty one has none and cannot be listed.
    extra = [name for name in present if name not in listed and not (signed.shards and _is_empty(directory, name))]
    _refuse(extra, "is not in the signature, and was added after it was made")
    _refuse(sorted(listed - set(present)), "is in the signature, but missing")
    manifest = _manifest(directory, present, signed)
    found = {each.identifier: each.digest.digest_hex for each in manifest.resource_descriptors()}
    changed = [name for name in sorted({*signed.digests, *found}) if signed.digests.get(name) != found.get(name)]
    _refuse(changed, "was changed after it was signed")
    return manifest


def _manifest(directory: ModelDir, names: Iterable[str], signed: _Signed) -> Any:
    """The digests of the files, by the method that the signature names."""
    from model_signing import hashing

    config, how = hashing.Config(), signed.how
    algorithm = _ALGORITHMS.get(how["hash_type"], how["hash_type"])
    if signed.shards:
        size = int(how["shard_size"])  # numbers in a signature are floats
        config.use_shard_serialization(hashing_algorithm=algorithm, shard_size=size, max_workers=1)
    else:
        config.use_file_serialization(hashing_algorithm=algorithm, max_workers=1)
    config.set_allow_symlinks(True)  # where they lead was looked at
    return config.hash(directory.path, files_to_hash=[directory.path / name for name in names])


def _is_empty(directory: ModelDir, name: str) -> bool:
    status = (directory.path / name).stat()
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


def _refuse(names: list[str], why: str) -> None:
    if names:
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        raise LoadError(f"{printable(names[0])} {why}{more}")
