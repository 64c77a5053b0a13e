"""Whose signatures of model folders count: a key's, those of authorities' certificates, or an identity's of Sigstore.

Each is a way of OpenSSF model-signing's (`model_signing.verifying`); a server asks for one of them.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.modeldir import inside
from server.config.settings import Settings

__all__ = ["Authorities", "Identity", "Key", "Signer", "signer_of"]

#: model-signing 1.1 imports pyOpenSSL without requiring it
_MODULES = ("model_signing", "OpenSSL")


@dataclass(frozen=True)
class Signer(ABC):
    """Who may have signed."""

    option: str  #: the setting that names it, as messages say it

    @property
    @abstractmethod
    def by(self) -> str:
        """Who did not sign, to follow "was not made"."""

    @property
    def causes(self) -> bool:
        """Whether there are several reasons why a signature is not this signer's."""
        return True

    @property
    @abstractmethod
    def command(self) -> str:
        """How model-signing's command line signs so, before the folder."""

    @abstractmethod
    def use(self, config: Any) -> None:
        """Make a `model_signing.verifying.Config` hold signatures against this.

        Raises:
            Exception: model-signing's, for what `problem` tells.
        """

    @abstractmethod
    def problem(self, model_dir: Path) -> str:
        """What is wrong with the setting, to follow its name, or ""."""


@dataclass(frozen=True)
class Key(Signer):
    """The public half of an elliptic-curve key, in PEM form."""

    path: Path

    @property
    def by(self) -> str:
        return f"with the key that {self.option} names"

    @property
    def causes(self) -> bool:
        return False

    @property
    def command(self) -> str:
        return "sign key --private_key KEY"

    def use(self, config: Any) -> None:
        config.use_elliptic_key_verifier(public_key=self.path)

    def problem(self, model_dir: Path) -> str:
        if problem := _missing() or _changeable(self.path, model_dir, "key"):
            return problem
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            public = serialization.load_pem_public_key(self.path.read_bytes())
        except (ValueError, UnsupportedAlgorithm):
            return "must hold a public key in PEM form (-----BEGIN PUBLIC KEY-----)"
        curves = ("secp256r1", "secp384r1", "secp521r1")
        if isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in curves:
            return ""
        return "must hold an elliptic-curve key on P-256, P-384 or P-521, as `openssl ecparam -name prime256v1` makes"


@dataclass(frozen=True)
class Authorities(Signer):
    """Certificates of authorities: whoever holds a signing certificate of one may sign."""

    path: Path

    @property
    def by(self) -> str:
        return f"with a signing certificate of the authorities in {self.option}"

    @property
    def command(self) -> str:
        return "sign certificate --private_key KEY --signing_certificate CERTIFICATE --certificate_chain CHAIN"

    def use(self, config: Any) -> None:
        config.use_certificate_verifier(certificate_chain=[self.path])

    def problem(self, model_dir: Path) -> str:
        if problem := _missing() or _changeable(self.path, model_dir, "certificates"):
            return problem
        from cryptography import x509

        try:
            x509.load_pem_x509_certificates(self.path.read_bytes())
        except ValueError:
            return "must hold certificates of authorities in PEM form (-----BEGIN CERTIFICATE-----)"
        return ""


@dataclass(frozen=True)
class Identity(Signer):
    """Who showed an identity provider that they are this name, as Sigstore certifies it, without keys."""

    name: str
    issuer: str
    trust_config: Path | None  #: Sigstore's roots (client trust config, JSON); None: the public ones, which are fetched

    @property
    def by(self) -> str:
        return f"by {self.name} of {self.issuer} ({self.option})"

    @property
    def command(self) -> str:
        return "sign sigstore"

    def use(self, config: Any) -> None:
        config.use_sigstore_verifier(identity=self.name, oidc_issuer=self.issuer, trust_config=self.trust_config)

    def problem(self, model_dir: Path) -> str:
        if self.trust_config and (problem := _changeable(self.trust_config, model_dir, "roots of trust")):
            return f"has --verify_trust_config={self.trust_config}, which {problem}"
        if problem := _missing():
            return problem
        from model_signing import verifying

        try:
            self.use(verifying.Config())
        except Exception as error:  # files of any shape, and any fault of the network
            cause = " ".join(str(error).split()) or type(error).__name__
            if self.trust_config:
                where = f"--verify_trust_config={self.trust_config}"
                return f"has {where}, which is no client trust config of Sigstore: {cause}"
            return (
                f"needs Sigstore's roots of trust, which cannot be fetched: {cause}; "
                "a file of them (client trust config) can be named by --verify_trust_config"
            )
        return ""


def signer_of(settings: Settings) -> Signer | None:
    """Who must have signed the models' folders, or None: they need no signature."""
    if settings.verify_key:
        return Key("--verify_key", Path(settings.verify_key))
    if settings.verify_certificates:
        return Authorities("--verify_certificates", Path(settings.verify_certificates))
    if settings.verify_identity and settings.verify_issuer:
        config = settings.verify_trust_config
        return Identity(
            "--verify_identity", settings.verify_identity, settings.verify_issuer, Path(config) if config else None
        )
    return None


def _missing() -> str:
    if any(importlib.util.find_spec(module) is None for module in _MODULES):
        return (
            "needs packages that are not installed: pip install model-signing pyopenssl "
            "(of the image: --build-arg FRAMEWORKS=...,signing; of a checkout: make install)"
        )
    return ""


def _changeable(path: Path, model_dir: Path, what: str) -> str:
    if inside(path, model_dir):
        return f"must lie outside the models directory: who can change the models could change the {what} with them"
    return ""
