"""Signatures of model folders: OpenSSF model-signing's `model.sig`, verified before anything else of a folder is read.

The signature lists every file with its digest, under an elliptic-curve key whose public half `--verify_key` names.
Whatever lies in the folder must be in the list, and the other way round. Links count as what they lead to, so that a
folder that was signed as plain files verifies on a Kubernetes mount, which is made of links.

What is vouched for is what was there while it was read: whoever can change the mount between the verification and the
load needs no signature. Mount models read-only.
"""

from __future__ import annotations

import importlib.util
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.base import LoadError, ModelDir
from adapters.modeldir import inside
from server.loading import files
from server.text import printable

__all__ = ["SIGNATURE", "Verifier", "key_problem"]

SIGNATURE = "model.sig"  #: as model-signing's command line names it
_LIMIT = 64 * 2**20  #: bytes of a signature; one takes some 200 for each file

#: what model-signing never signs, beside the signature itself
_UNSIGNED = (SIGNATURE, ".git", ".gitattributes", ".github", ".gitignore")

#: what a signature calls an algorithm -> what model-signing takes, where the two differ
_ALGORITHMS = {"blake2b": "blake2"}

#: model-signing 1.1 imports pyOpenSSL without requiring it
_MODULES = ("model_signing", "OpenSSL")


def key_problem(key: str, model_dir: Path) -> str:
    """What is wrong with the setting `--verify_key`, or ""; `key` is a file that can be read."""
    if any(importlib.util.find_spec(module) is None for module in _MODULES):
        return (
            "needs packages that are not installed: pip install model-signing pyopenssl "
            "(of the image: --build-arg FRAMEWORKS=...,signing; of a checkout: make install)"
        )
    if inside(Path(key), model_dir):
        return "must lie outside the models directory: who can change the models could change the key with them"
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        public = serialization.load_pem_public_key(Path(key).read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        return "must hold a public key in PEM form (-----BEGIN PUBLIC KEY-----)"
    if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in ("secp256r1", "secp384r1", "secp521r1"):
        return ""
    return "must hold an elliptic-curve key on P-256, P-384 or P-521, as `openssl ecparam -name prime256v1` makes"


@dataclass(frozen=True)
class Verifier:
    """Verifies folders against one public key."""

    key: Path

    def verify(self, directory: ModelDir) -> None:
        """Make sure that the folder holds what was signed, and nothing else. Reads all of it, on one core.

        Raises:
            LoadError: it does not; the message names the file.
        """
        signed = self._signed(directory)
        present = [name for name in files.paths(directory, hidden=True) if Path(name).parts[0] not in _UNSIGNED]
        how = signed.serialization_type
        shards = how["method"] == "shards"
        wanted = {each.identifier: each.digest for each in signed.resource_descriptors()}
        listed = {identifier.rsplit(":", 2)[0] if shards else identifier for identifier in wanted}
        # A file in shards has as many as it needs, so that an empty one has none and cannot be listed.
        extra = [name for name in present if name not in listed and not (shards and _is_empty(directory, name))]
        _refuse(extra, "is not in the signature, and was added after it was made")
        _refuse(sorted(listed - set(present)), "is in the signature, but missing")
        found = _digests(directory, present, how)
        changed = [name for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name)]
        _refuse(changed, "was changed after it was signed")

    def _signed(self, directory: ModelDir) -> Any:
        """The signature's list of files (a `model_signing.manifest.Manifest`), which the key vouches for."""
        from cryptography.exceptions import InvalidSignature
        from model_signing._signing import sign_ec_key, sign_sigstore_pb

        path = _signature(directory)
        verifier = sign_ec_key.Verifier(self.key)
        try:
            bundle = sign_sigstore_pb.Signature.read(path)
            return verifier.verify(bundle)
        except InvalidSignature as error:
            raise LoadError(f"{SIGNATURE} was not made with the key that --verify_key names") from error
        except OSError as error:
            raise LoadError(f"{SIGNATURE} cannot be read: {error.strerror}") from error
        except Exception as error:  # a file that is no signature can fail anywhere in the reader
            if "Key mismatch" in str(error):
                raise LoadError(f"{SIGNATURE} was not made with the key that --verify_key names") from error
            text = printable(" ".join(str(error).split()) or type(error).__name__)
            raise LoadError(f"{SIGNATURE} is damaged, or no signature by a key: {text}") from error


def _signature(directory: ModelDir) -> Path:
    if SIGNATURE not in directory.files:
        raise LoadError(
            f"the folder is not signed: {SIGNATURE} is missing, which --verify_key asks for; "
            f"make it with `model_signing sign key --private_key KEY --signature FOLDER/{SIGNATURE} FOLDER`"
        )
    path = directory.file(SIGNATURE)
    if path.stat().st_size > _LIMIT:
        raise LoadError(f"{SIGNATURE} is longer than {_LIMIT // 2**20} MiB")
    return path


def _digests(directory: ModelDir, names: Iterable[str], how: Mapping[str, Any]) -> dict[str, Any]:
    """The digests of the files, by the method that the signature names."""
    from model_signing import hashing

    config = hashing.Config()
    algorithm = _ALGORITHMS.get(how["hash_type"], how["hash_type"])
    if how["method"] == "shards":
        size = int(how["shard_size"])  # numbers in a signature are floats
        config.use_shard_serialization(hashing_algorithm=algorithm, shard_size=size, max_workers=1)
    else:
        config.use_file_serialization(hashing_algorithm=algorithm, max_workers=1)
    config.set_allow_symlinks(True)  # where they lead was looked at
    found = config.hash(directory.path, files_to_hash=[directory.path / name for name in names])
    return {each.identifier: each.digest for each in found.resource_descriptors()}


def _is_empty(directory: ModelDir, name: str) -> bool:
    status = (directory.path / name).stat()
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


def _refuse(names: list[str], why: str) -> None:
    if names:
        more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        raise LoadError(f"{printable(names[0])} {why}{more}")
