"""Each way to say who must have signed: real signatures of model-signing, and bundles that a Sigstore vouches for."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from adapters.base import LoadError, ModelDir
from server.__main__ import check_signer
from server.config.settings import Settings, SettingsError
from server.loading.signatures import Verifier
from server.loading.signers import Authorities, Identity, Key, Signer, signer_of
from tests.server.loading.sigstore_log import Sigstore
from tests.server.loading.test_signatures import key_pair, sign

model_signing = pytest.importorskip("model_signing")

WHO, ISSUER = "ada@example.com", "https://accounts.example.com"
NOW = datetime.now(UTC)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "mount" / "a"
    folder.mkdir(parents=True)
    (folder / "model.echo").write_text("echo")
    return folder


def verify(folder: Path, signer: Signer) -> None:
    Verifier(signer).verify(ModelDir.of(folder, folder.parent))


class Authority:
    """An authority with a certificate of its own, which makes signing certificates."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder, self.name = folder, x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._certificate(self.key, self.name, ca=True)
        self.path = self._write(f"{name}.pem", self.certificate.public_bytes(serialization.Encoding.PEM))

    def sign(self, model: Path, purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING) -> None:
        """Sign a model's folder with a new certificate."""
        private, _ = key_pair(self.folder / "of_signer")
        key = serialization.load_pem_private_key(private.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        signer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer")])
        certificate = self._certificate(key, signer, ca=False, purpose=purpose)
        of_signer = self._write("signer.pem", certificate.public_bytes(serialization.Encoding.PEM))
        config = model_signing.signing.Config().use_certificate_signer(
            private_key=private, signing_certificate=of_signer, certificate_chain=[self.path]
        )
        hashing = model_signing.hashing.Config().set_ignored_paths(paths=[model / "model.sig"])
        config.set_hashing_config(hashing).sign(model, model / "model.sig")

    def _certificate(
        self,
        key: ec.EllipticCurvePrivateKey,
        subject: x509.Name,
        *,
        ca: bool,
        purpose: x509.ObjectIdentifier | None = None,
    ) -> x509.Certificate:
        usage = x509.KeyUsage(False, not ca, False, False, False, ca, ca, False, False)
        builder = (
            x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=2 if ca else 1))
            .not_valid_after(NOW + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(usage, critical=True)
        )
        if purpose is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def _write(self, name: str, content: bytes) -> Path:
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_bytes(content)
        return self.folder / name


def test_an_authoritys_certificate(model: Path, tmp_path: Path) -> None:
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "others", "other")
    ours.sign(model)
    verify(model, Authorities("--verify_certificates", ours.path))
    names = "signing certificate of the authorities in --verify_certificates: "
    with pytest.raises(LoadError, match=rf"^model\.sig was not made with a {names}.* certificate"):
        verify(model, Authorities("--verify_certificates", other.path))
    (model / "model.echo").write_text("Echo")
    with pytest.raises(LoadError, match=r"^model\.echo was changed after it was signed$"):
        verify(model, Authorities("--verify_certificates", ours.path))


def test_a_certificate_that_is_for_something_else(model: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ours")
    authority.sign(model, ExtendedKeyUsageOID.SERVER_AUTH)
    with pytest.raises(LoadError, match="Signing certificate cannot be used for signing"):
        verify(model, Authorities("--verify_certificates", authority.path))


def sign_at(sigstore: Sigstore, model: Path, identity: str = WHO, issuer: str = ISSUER) -> None:
    """Sign what model-signing signs, by an identity."""
    sign(model, key_pair(model.parent.parent / "of_nobody")[0])
    envelope = json.loads((model / "model.sig").read_text())["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    (model / "model.sig").write_text(sigstore.sign(payload, envelope["payloadType"], identity, issuer))


def identity(sigstore: Sigstore, folder: Path) -> Identity:
    (folder / "trust.json").write_text(sigstore.trust_config)
    return Identity("--verify_identity", WHO, ISSUER, folder / "trust.json")


def test_an_identity_of_sigstore(model: Path, tmp_path: Path) -> None:
    signer = identity(sigstore := Sigstore(), tmp_path)
    sign_at(sigstore, model)
    assert signer.problem(model.parent) == ""
    verify(model, signer)
    (model / "more").touch()
    with pytest.raises(LoadError, match=r"^more is not in the signature, and was added after it was made$"):
        verify(model, signer)


@pytest.mark.parametrize(
    ("who", "issuer", "why"),
    [
        ("mallory@example.com", ISSUER, "SANs do not match ada@example.com"),
        (WHO, "https://accounts.example.org", "OIDCIssuer does not match"),
    ],
)
def test_another_identity(model: Path, tmp_path: Path, who: str, issuer: str, why: str) -> None:
    signer = identity(sigstore := Sigstore(), tmp_path)
    sign_at(sigstore, model, who, issuer)
    by = rf"^model\.sig was not made by {WHO} of {ISSUER} \(--verify_identity\): .*{why}"
    with pytest.raises(LoadError, match=by):
        verify(model, signer)


def test_another_sigstore(model: Path, tmp_path: Path) -> None:
    sign_at(Sigstore(), model)
    with pytest.raises(LoadError, match=rf"^model\.sig was not made by {WHO} of {ISSUER}"):
        verify(model, identity(Sigstore(), tmp_path))


def test_no_byte_of_a_bundle_may_change(model: Path, tmp_path: Path) -> None:
    signer = identity(sigstore := Sigstore(), tmp_path)
    sign_at(sigstore, model)
    content = (model / "model.sig").read_bytes()
    refused, tries = 0, range(0, len(content), 97)
    for at in tries:
        (model / "model.sig").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            verify(model, signer)
        except LoadError:
            refused += 1
    assert refused > 0.8 * len(tries)


def by_key(model: Path, folder: Path) -> Signer:
    private, public = key_pair(folder / "keys")
    sign(model, private)
    return Key("--verify_key", public)


def by_authority(model: Path, folder: Path) -> Signer:
    authority = Authority(folder / "authority")
    authority.sign(model)
    return Authorities("--verify_certificates", authority.path)


def by_identity(model: Path, folder: Path) -> Signer:
    sign_at(sigstore := Sigstore(), model)
    return identity(sigstore, folder)


WAYS: list[Callable[[Path, Path], Signer]] = [by_key, by_authority, by_identity]


@pytest.mark.parametrize("signed", WAYS)
@pytest.mark.parametrize("asked", WAYS)
def test_one_kind_of_signature_is_not_anothers(
    model: Path, tmp_path: Path, signed: Callable[[Path, Path], Signer], asked: Callable[[Path, Path], Signer]
) -> None:
    signer = asked(model, tmp_path)
    if signed is asked:
        verify(model, signer)
        return
    (tmp_path / "again").mkdir()
    signed(model, tmp_path / "again")
    with pytest.raises(LoadError, match=rf"^model\.sig is damaged, or no signature as {signer.option} asks for: "):
        verify(model, signer)


def test_unsigned_says_how_to_sign(model: Path, tmp_path: Path) -> None:
    wanted = Identity("--verify_identity", WHO, ISSUER, tmp_path / "absent")
    with pytest.raises(
        LoadError, match=r"which --verify_identity asks for; make it with `model_signing sign sigstore "
    ):
        verify(model, wanted)


def problems(*argv: str) -> str:
    with pytest.raises(SettingsError) as caught:
        check_signer(Settings.parse(argv, {}))
    return str(caught.value)


def test_settings_name_one_signer(tmp_path: Path) -> None:
    (tmp_path / "trust.json").write_text(Sigstore().trust_config)
    authority = Authority(tmp_path / "authority")
    by_name = ("--verify_identity", WHO, "--verify_issuer", ISSUER, f"--verify_trust_config={tmp_path}/trust.json")
    check_signer(settings := Settings.parse(by_name, {}))
    assert signer_of(settings) == Identity("--verify_identity", WHO, ISSUER, tmp_path / "trust.json")
    by_certificate = f"--verify_certificates={authority.path}"
    check_signer(settings := Settings.parse([by_certificate], {}))
    assert settings.signed
    assert signer_of(settings) == Authorities("--verify_certificates", authority.path)
    assert signer_of(Settings()) is None
    assert "one of them says who must have signed" in problems(*by_name, by_certificate)
    assert "--verify_identity and --verify_issuer need each other" in problems(*by_name[:2])
    assert "--verify_identity and --verify_issuer need each other" in problems(*by_name[2:4])
    assert "needs --verify_identity" in problems(by_name[-1])


def test_settings_check_the_files(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no")
    by_name = ("--verify_identity", WHO, "--verify_issuer", ISSUER)
    certificates = f"--verify_certificates={tmp_path}/no.pem"
    assert "must hold certificates of authorities in PEM form" in problems(certificates)
    config = f"--verify_trust_config={tmp_path}/no.pem"
    assert "is no client trust config of Sigstore: " in problems(*by_name, config)
    inside = f"--model_dir={tmp_path}"
    assert "must lie outside the models directory" in problems(certificates, inside)
    assert "must lie outside the models directory" in problems(*by_name, config, inside)
