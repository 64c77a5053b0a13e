"""Signatures made by the real model-signing, over folders as they are mounted, and every way to change one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from adapters.base import LoadError, ModelDir
from server.__main__ import check_signer
from server.config.settings import Settings, SettingsError
from server.loading.catalog import Found, scan
from server.loading.signatures import Verifier
from server.loading.signers import Key
from tests.server.loading.test_loader import loader
from tests.server.stand_ins import EchoAdapter

model_signing = pytest.importorskip("model_signing")


def key_pair(folder: Path, private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None) -> tuple[Path, Path]:
    """Files with a private and a public key."""
    folder.mkdir(exist_ok=True)
    private = private or ec.generate_private_key(ec.SECP256R1())
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    (folder / "key").write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    (folder / "key.pub").write_bytes(private.public_key().public_bytes(pem, spki))
    return folder / "key", folder / "key.pub"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return key_pair(tmp_path_factory.mktemp("keys"))


def sign(folder: Path, key: Path, hashing: object | None = None) -> None:
    config = model_signing.signing.Config().use_elliptic_key_signer(private_key=key)
    hashing = hashing or model_signing.hashing.Config()
    hashing.set_ignored_paths(paths=[folder / "model.sig"])  # type: ignore[attr-defined]
    config.set_hashing_config(hashing).sign(folder, folder / "model.sig")


@pytest.fixture
def model(tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    """A signed folder with files at two depths, one of them empty, and one hidden."""
    folder = tmp_path / "mount" / "a"
    (folder / "inner").mkdir(parents=True)
    (folder / "model.echo").write_text("echo")
    (folder / "inner" / "weights").write_bytes(bytes(range(256)) * 100)
    (folder / "inner" / "empty").touch()
    (folder / ".hidden").write_text("x")
    sign(folder, keys[0])
    return folder


def verify(folder: Path, key: Path) -> None:
    Verifier(Key("--verify_key", key)).verify(ModelDir.of(folder, folder.parent))


def test_a_signed_folder_verifies(model: Path, keys: tuple[Path, Path]) -> None:
    verify(model, keys[1])


@pytest.mark.slow
def test_so_does_one_that_the_command_line_signed(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    folder = tmp_path / "mount" / "a"
    folder.mkdir(parents=True)
    (folder / "model.echo").write_text("echo")
    command = [sys.executable, "-m", "model_signing", "sign", "key", "--private_key", str(keys[0])]
    subprocess.run([*command, "--signature", f"{folder}/model.sig", str(folder)], check=True, capture_output=True)
    verify(folder, keys[1])
    (folder / "model.echo").write_text("Echo")
    with pytest.raises(LoadError, match=r"^model\.echo was changed after it was signed$"):
        verify(folder, keys[1])


@pytest.mark.parametrize("shard_size", [100, 10_000, 10**9])
def test_signatures_over_shards(model: Path, keys: tuple[Path, Path], shard_size: int) -> None:
    sign(model, keys[0], model_signing.hashing.Config().use_shard_serialization(shard_size=shard_size))
    verify(model, keys[1])
    (model / "inner" / "weights").write_bytes(bytes(range(256)) * 99 + bytes(256))
    with pytest.raises(LoadError, match=r"^inner/weights:\d+:\d+ was changed"):
        verify(model, keys[1])


@pytest.mark.parametrize("algorithm", ["blake2", "blake3"])
def test_other_digests(model: Path, keys: tuple[Path, Path], algorithm: str) -> None:
    hashing = model_signing.hashing.Config().use_file_serialization(hashing_algorithm=algorithm)
    sign(model, keys[0], hashing)
    verify(model, keys[1])
    (model / "model.echo").write_text("ECHO")
    with pytest.raises(LoadError, match=r"model\.echo was changed"):
        verify(model, keys[1])


def _flip(folder: Path) -> None:
    content = bytearray((folder / "inner" / "weights").read_bytes())
    content[12_345] ^= 1
    (folder / "inner" / "weights").write_bytes(content)


def _swap(folder: Path) -> None:
    """A link in the place of a file, to the same mount but other bytes."""
    (folder.parent / "other").write_text("echo crash")
    (folder / "model.echo").unlink()
    (folder / "model.echo").symlink_to(folder.parent / "other")


def _lead_out(folder: Path) -> None:
    outside = folder.parent.parent / "outside"
    outside.write_text("echo")  # the very bytes that were signed
    (folder / "model.echo").unlink()
    (folder / "model.echo").symlink_to(outside)


CHANGES: list[tuple[Callable[[Path], object], str]] = [
    (_flip, r"^inner/weights was changed after it was signed$"),
    (lambda folder: (folder / "inner" / "empty").write_text("x"), r"^inner/empty was changed after it was signed$"),
    (lambda folder: (folder / "polyserve.yaml").touch(), r"^polyserve\.yaml is not in the signature"),
    (lambda folder: (folder / "inner" / "model.py").touch(), r"^inner/model\.py is not in the signature"),
    (lambda folder: (folder / "inner" / ".git").touch(), r"^inner/\.git is not in the signature"),
    (lambda folder: (folder / "inner" / "empty").unlink(), r"^inner/empty is in the signature, but missing$"),
    (lambda folder: (folder / ".hidden").unlink(), r"^\.hidden is in the signature, but missing$"),
    (lambda folder: (folder / "model.echo").rename(folder / "b.echo"), r"^b\.echo is not in the signature"),
    (_swap, r"^model\.echo was changed after it was signed$"),
    (_lead_out, r"^model\.echo leads out of the models directory"),
    (lambda folder: os.mkfifo(folder / "pipe"), r"^pipe is neither a file nor a folder"),
    (lambda folder: (folder / "model.sig").unlink(), r"^the folder is not signed: model\.sig is missing"),
    (
        lambda folder: (folder / "model.sig").write_text("{}"),
        r"^model\.sig is damaged, or no signature as --verify_key asks for",
    ),
    (lambda folder: (folder / "model.sig").write_bytes(b"\xff" * 9), r"^model\.sig is damaged"),
    (lambda folder: (folder / "a\nb").touch(), r"^'a\\nb' is not in the signature"),
]


@pytest.mark.parametrize(("change", "why"), CHANGES, ids=[why for _, why in CHANGES])
def test_any_change_is_refused_by_name(
    model: Path, keys: tuple[Path, Path], change: Callable[[Path], object], why: str
) -> None:
    change(model)
    with pytest.raises(LoadError, match=why):
        verify(model, keys[1])


def test_no_byte_of_the_signature_may_change(model: Path, keys: tuple[Path, Path]) -> None:
    """But for those that mean nothing: a changed byte either is refused, or leaves the list of files as it was."""
    content = (model / "model.sig").read_bytes()
    refused = 0
    for at in range(0, len(content), 37):
        (model / "model.sig").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            verify(model, keys[1])
        except LoadError:
            refused += 1
    assert refused > 0.8 * len(range(0, len(content), 37))


def test_what_the_signer_left_out_is_not_signed(model: Path, keys: tuple[Path, Path]) -> None:
    """model-signing would leave the door open that it was told to."""
    hashing = model_signing.hashing.Config().set_ignored_paths(paths=[model / "inner", model / "model.sig"])
    model_signing.signing.Config().use_elliptic_key_signer(private_key=keys[0]).set_hashing_config(hashing).sign(
        model, model / "model.sig"
    )
    with pytest.raises(LoadError, match=r"^inner/empty is not in the signature"):
        verify(model, keys[1])


def test_another_key(model: Path, tmp_path: Path) -> None:
    _, other = key_pair(tmp_path / "other")
    with pytest.raises(LoadError, match=r"^model\.sig was not made with the key that --verify_key names$"):
        verify(model, other)


def test_a_mount_of_kubernetes_verifies(model: Path, keys: tuple[Path, Path]) -> None:
    """Files are links through `..data` to a hidden folder; folders are links too."""
    mount = model.parent / "b"
    hidden = mount / "..2026_01_01"
    shutil.copytree(model, hidden)
    (mount / "..data").symlink_to("..2026_01_01")
    for name in ("model.echo", "model.sig", "inner", ".hidden"):
        (mount / name).symlink_to(f"..data/{name}")
    verify(mount, keys[1])
    (hidden / "inner" / "more").touch()
    with pytest.raises(LoadError, match=r"^inner/more is not in the signature"):
        verify(mount, keys[1])


@pytest.mark.usefixtures("echo")
def test_the_loader_verifies_first_and_every_time(model: Path, keys: tuple[Path, Path]) -> None:
    shared = loader(verifier=Verifier(Key("--verify_key", keys[1])))
    found = Found("a", ModelDir.of(model, model.parent))
    assert shared.load(found)
    EchoAdapter.begun.clear()
    (model / "model.echo").write_text("echo crash")
    (model / "polyserve.yaml").write_text("[")
    with pytest.raises(LoadError, match=r"^polyserve\.yaml is not in the signature"):
        shared.load(found)
    assert not EchoAdapter.begun
    (model / "polyserve.yaml").unlink()
    (model / "model.echo").write_text("echo")
    assert shared.load(found)


@pytest.mark.usefixtures("echo")
def test_a_signed_mount_is_looked_at_without_opening_a_file(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> bytes:
        raise AssertionError("a file was looked into")

    monkeypatch.setattr(ModelDir, "head", opened)
    assert scan(model, signed=True).single
    catalog = scan(model.parent, signed=True)
    assert not catalog.single
    assert [found.name for found in catalog.found] == ["a"]


def test_settings_check_the_key(tmp_path: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def problem(key: Path) -> str:
        with pytest.raises(SettingsError) as caught:
            check_signer(Settings.parse([f"--verify_key={key}", f"--model_dir={tmp_path}"], {}))
        return str(caught.value)

    for flag in ("--verify_key", "--verify-key"):
        check_signer(settings := Settings.parse([flag, str(keys[1])], {}))
        assert settings.verify_key == str(keys[1])
    assert "must be a file that can be read" in problem(tmp_path / "absent")
    assert "must hold a public key in PEM form" in problem(keys[0])
    _, rsa_key = key_pair(tmp_path.parent / "rsa", rsa.generate_private_key(65537, 2048))
    assert "must hold an elliptic-curve key on P-256" in problem(rsa_key)
    (tmp_path / "key.pub").write_bytes(keys[1].read_bytes())
    assert "must lie outside the models directory" in problem(tmp_path / "key.pub")
    monkeypatch.setitem(sys.modules, "model_signing", None)
    assert (
        Key("--verify_key", keys[1])
        .problem(tmp_path)
        .startswith("needs packages that are not installed: pip install model-signing pyopenssl (of the image:")
    )
