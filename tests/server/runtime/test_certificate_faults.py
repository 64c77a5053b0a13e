"""What clients refuse is told in a sentence that names the file, whose certificate it is, and the way out."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from server.runtime.certificate_faults import expires_at, faults
from tests.certificates import Authority

LOCAL = x509.SubjectAlternativeName([x509.DNSName("localhost")])
USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def told(chain: bytes, authorities: bytes | None = None) -> list[str]:
    return faults("tls.crt", chain, "ca.crt", authorities, time.time())


def usage(allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name == allowed for name in USAGES})


def dates(chain: bytes) -> tuple[str, str]:
    certificate = x509.load_pem_x509_certificate(chain)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return f"{begins:%Y-%m-%d %H:%M} UTC", f"{ends:%Y-%m-%d %H:%M} UTC"


def test_nothing_is_said_of_a_certificate_that_clients_take(authority: Authority) -> None:
    chain = authority.sign("server").chain.read_bytes()
    assert told(chain) == []
    assert told(chain + authority.file.read_bytes(), authority.file.read_bytes()) == []


def test_one_that_has_expired_is_told_with_its_date(authority: Authority) -> None:
    chain = authority.sign("server", (-9, -2)).chain.read_bytes()
    (fault,) = told(chain)
    assert fault == (
        f"the certificate of CN=server in tls.crt expired on {dates(chain)[1]}, and clients refuse it: renew it; "
        "it is read again when the file changes"
    )


def test_one_that_is_not_valid_yet_is_told_with_its_date_and_the_clocks(authority: Authority) -> None:
    chain = authority.sign("server", (2, 9)).chain.read_bytes()
    (fault,) = told(chain)
    assert fault.startswith(
        f"the certificate of CN=server in tls.crt is not valid before {dates(chain)[0]}: clients refuse it until then. "
        "Take another one, or set this machine's clock, where it says "
    )


def test_one_above_it_that_has_expired_is_told_as_well(authority: Authority, tmp_path: Path) -> None:
    above = Authority(tmp_path, "between", (-9, -2)).file.read_bytes()
    (fault,) = told(authority.sign("server").chain.read_bytes() + above)
    assert fault.startswith(f"the certificate of CN=between in tls.crt expired on {dates(above)[1]}")


@pytest.mark.parametrize(
    ("extensions", "words"),
    [
        ([], "names no host"),
        ([x509.SubjectAlternativeName([x509.RFC822Name("us@example.com")])], "names no host"),
        ([LOCAL, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])], "lacks serverAuth"),
        ([LOCAL, usage("key_cert_sign")], "lacks digitalSignature"),
        ([LOCAL, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), usage("digital_signature")], ""),
        ([LOCAL, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), usage("key_agreement")], ""),
        ([x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://example.com/us")])], ""),
    ],
)
def test_what_it_is_not_for_is_told(authority: Authority, extensions: list[x509.ExtensionType], words: str) -> None:
    found = told(authority.sign("server", extensions=extensions).chain.read_bytes())
    assert len(found) == bool(words)
    for fault in found:
        assert fault.startswith("the certificate of CN=server in tls.crt ")
        assert words in fault
        assert ", and clients refuse it: have it issued with " in fault


def test_clients_authorities_are_told_where_none_is_valid(authority: Authority, tmp_path: Path) -> None:
    chain, valid = authority.sign("server").chain.read_bytes(), authority.file.read_bytes()
    old = Authority(tmp_path, "old", (-9, -2)).file.read_bytes()
    assert told(chain, old + valid) == []
    (fault,) = told(chain, old)
    assert fault == (
        f"no certificate of an authority in ca.crt is valid now (the last one ends on {dates(old)[1]}): every client "
        "is refused. Put a valid one there; it is read again when the file changes"
    )


def test_a_subject_is_one_bounded_line_in_the_log(authority: Authority) -> None:
    (fault,) = told(authority.sign("two\nlines" + "x" * 50, (-9, -2)).chain.read_bytes())
    assert "\n" not in fault


def test_the_first_one_that_expires_counts(authority: Authority, tmp_path: Path) -> None:
    chain = authority.sign("server").chain.read_bytes()
    above = Authority(tmp_path, "between", (-9, 2)).file.read_bytes()
    first = x509.load_pem_x509_certificate(above).not_valid_after_utc.timestamp()
    assert expires_at(chain + above) == expires_at(above) == first < expires_at(chain)


def test_what_only_openssl_can_read_is_not_judged() -> None:
    odd = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert expires_at(odd) == math.inf
    assert told(odd) == []
