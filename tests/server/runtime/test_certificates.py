"""Certificates are read again when they change, and never half."""

from __future__ import annotations

import logging
import shutil
import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest

from server.runtime import certificates
from server.runtime.certificates import CertificateError, CertificateFiles
from tests.certificates import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def live(authority: Authority, tmp_path: Path) -> Pair:
    return _renewed(authority.sign("first"), Pair(tmp_path / "live.pem", tmp_path / "live.key"))


def _renewed(pair: Pair, live: Pair) -> Pair:
    for source, target in ((pair.chain, live.chain), (pair.key, live.key)):
        draft = target.with_suffix(".draft")
        shutil.copy(source, draft)
        draft.replace(target)
    return live


def test_the_same_is_given_until_it_changes(authority: Authority, live: Pair) -> None:
    files = CertificateFiles(str(live.chain), str(live.key))
    first = files.current()
    assert files.current() is first
    second = authority.sign("second")
    _renewed(second, live)
    assert files.current().chain == second.chain.read_bytes()
    assert files.current() is not first


def test_a_certificate_whose_key_has_not_come_yet_changes_nothing(authority: Authority, live: Pair) -> None:
    files = CertificateFiles(str(live.chain), str(live.key))
    first, second = files.current(), authority.sign("second")
    shutil.copy(second.chain, live.chain)
    assert files.current() is first
    shutil.copy(second.key, live.key)
    assert files.current().key == second.key.read_bytes()


def test_a_file_that_has_gone_changes_nothing(live: Pair) -> None:
    files = CertificateFiles(str(live.chain), str(live.key))
    first = files.current()
    live.key.unlink()
    assert files.current() is first


def test_clients_need_certificates_of_the_authorities(authority: Authority, live: Pair) -> None:
    files = CertificateFiles(str(live.chain), str(live.key), str(authority.file))
    assert files.wants_clients
    assert files.current().context.verify_mode is ssl.CERT_REQUIRED
    assert not CertificateFiles(str(live.chain), str(live.key)).wants_clients


def test_what_does_not_fit_is_refused_by_name(authority: Authority, live: Pair, tmp_path: Path) -> None:
    other = authority.sign("other")
    with pytest.raises(CertificateError, match=r"live\.pem and .*other\.key are no certificate and its key"):
        CertificateFiles(str(live.chain), str(other.key))
    none = tmp_path / "none.pem"
    none.write_text("nothing")
    with pytest.raises(CertificateError, match=r"none\.pem holds no certificates of authorities"):
        CertificateFiles(str(live.chain), str(live.key), str(none))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", r"odd\.pem is empty"),
        (b"0\x82\x03\x01", r"odd\.pem is not in PEM format \(of DER, `openssl x509 -inform der` makes it"),
        (b"KEY", "are no certificate and its key: not in PEM format"),
    ],
)
def test_files_of_other_forms_are_told_by_name(live: Pair, tmp_path: Path, content: bytes, told: str) -> None:
    odd = tmp_path / "odd.pem"
    odd.write_bytes(content.replace(b"KEY", live.key.read_bytes()))
    with pytest.raises(CertificateError, match=told):
        CertificateFiles(str(odd), str(live.key))


def test_a_chain_in_the_wrong_order_is_told_as_that(authority: Authority, live: Pair) -> None:
    live.chain.write_bytes(authority.file.read_bytes() + live.chain.read_bytes())
    with pytest.raises(CertificateError, match="of a chain, that is the server's own"):
        CertificateFiles(str(live.chain), str(live.key))


def test_what_clients_refuse_is_told_at_the_start_and_when_it_has_changed(
    authority: Authority, live: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    _renewed(authority.sign("old", (-9, -2)), live)
    files = CertificateFiles(str(live.chain), str(live.key))
    files.current()
    assert [each.message for each in warnings(caplog) if "CN=old" in each.message and "expired on" in each.message]
    assert len(warnings(caplog)) == 1
    _renewed(authority.sign("early", (2, 9)), live)
    files.current()
    files.current()
    assert len(warnings(caplog)) == 2
    assert "CN=early" in warnings(caplog)[1].message
    _renewed(authority.sign("good"), live)
    files.current()
    assert len(warnings(caplog)) == 2


def test_one_that_expires_while_it_is_shown_is_told_once(
    live: Pair, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = CertificateFiles(str(live.chain), str(live.key))
    files.current()
    assert warnings(caplog) == []
    after = files.current().expires_at + 1
    monkeypatch.setattr(certificates, "time", SimpleNamespace(time=lambda: after))
    files.current()
    files.current()
    assert len(warnings(caplog)) == 1
    assert "CN=first" in warnings(caplog)[0].message


def test_one_process_of_several_tells(authority: Authority, live: Pair, caplog: pytest.LogCaptureFixture) -> None:
    _renewed(authority.sign("old", (-9, -2)), live)
    CertificateFiles(str(live.chain), str(live.key), tells=False).current()
    assert warnings(caplog) == []


def warnings(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [each for each in caplog.records if each.levelno >= logging.WARNING]
