"""What is wrong with a certificate that OpenSSL serves without a word, and that clients refuse.

A server needs nothing of this to shake hands, so that an expired certificate shows on the clients' side alone. Looked
at once for each state of the files; never a reason not to serve, as there are clients that look at less.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from server.text import printable

if TYPE_CHECKING:
    from cryptography import x509

    _Chain: TypeAlias = Sequence[x509.Certificate]

_AGAIN = "it is read again when the file changes"


def expires_at(chain: bytes) -> float:
    """When the first certificate of a file (PEM) expires, in seconds since the epoch; infinite: it cannot be told."""
    return min((each.not_valid_after_utc.timestamp() for each in _certificates(chain)), default=math.inf)


def faults(
    file: str, chain: bytes, authorities_file: str | None, authorities: bytes | None, seconds: float
) -> list[str]:
    """Why clients refuse the server's certificate and those above it, or the server theirs: a sentence each.

    `chain` is what is in `file`, the server's own first; `authorities` are those that sign clients' certificates;
    `seconds` since the epoch is now.
    """
    now = datetime.fromtimestamp(seconds, UTC)
    certificates = _certificates(chain)
    found = [fault for each in certificates if (fault := _out_of_date(file, each, now))]
    if certificates:
        found += _unfit(file, certificates[0])
    signers = _certificates(authorities or b"")
    if signers and all(_out_of_date("", each, now) for each in signers):
        latest = max(each.not_valid_after_utc for each in signers)
        found.append(
            f"no certificate of an authority in {authorities_file} is valid now (the last one ends on {_date(latest)}):"
            f" every client is refused. Put a valid one there; {_AGAIN}"
        )
    return found


def _certificates(pem: bytes) -> _Chain:
    """Those that can be read: OpenSSL, which decides what is served, forgives more."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        return []


def _out_of_date(file: str, certificate: x509.Certificate, now: datetime) -> str | None:
    name = f"the certificate of {_subject(certificate)} in {file}"
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends < now:
        return f"{name} expired on {_date(ends)}, and clients refuse it: renew it; {_AGAIN}"
    if begins > now:
        late = f"{name} is not valid before {_date(begins)}: clients refuse it until then"
        return f"{late}. Take another one, or set this machine's clock, where it says {_date(now)} wrongly"
    return None


def _unfit(file: str, certificate: x509.Certificate) -> Iterator[str]:
    try:
        extensions = certificate.extensions
    except ValueError:  # of a form that only OpenSSL can read
        return
    name = f"the certificate of {_subject(certificate)} in {file}"
    if _names_nobody(extensions):
        what = "names no host (it has no subject alternative names, and its subject counts for nothing)"
        yield f"{name} {what}, and clients refuse it: have it issued with the names that they ask for; {_AGAIN}"
    if _is_for_others(extensions):
        what = "is not for servers (its extended key usage lacks serverAuth)"
        yield f"{name} {what}, and clients refuse it: have it issued with serverAuth; {_AGAIN}"
    if _is_for_no_handshake(extensions):
        what = "is not for TLS (its key usage lacks digitalSignature)"
        yield f"{name} {what}, and clients refuse it: have it issued with digitalSignature; {_AGAIN}"


def _names_nobody(extensions: x509.Extensions) -> bool:
    from cryptography import x509

    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return True
    return not any(isinstance(each, (x509.DNSName, x509.IPAddress, x509.UniformResourceIdentifier)) for each in names)


def _is_for_others(extensions: x509.Extensions) -> bool:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

    try:
        allowed = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return not {Usage.SERVER_AUTH, Usage.ANY_EXTENDED_KEY_USAGE}.intersection(allowed)


def _is_for_no_handshake(extensions: x509.Extensions) -> bool:
    from cryptography import x509

    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return not (usage.digital_signature or usage.key_encipherment or usage.key_agreement)


def _subject(certificate: x509.Certificate) -> str:
    return printable(certificate.subject.rfc4514_string()) or "nobody (its subject is empty)"


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
