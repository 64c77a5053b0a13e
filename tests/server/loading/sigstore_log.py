"""A Sigstore of one's own: an authority, a certificates' log and a signatures' log, and bundles that they vouch for.

It says what the public services say, in their formats (certificates of RFC 5280 with timestamps of RFC 6962, a log with
signed checkpoints, bundles of version 0.3), under keys that were made for the test.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

_ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")  #: Fulcio's extension: who vouches for the name, as plain text
_SCTS = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_DER, _PEM = serialization.Encoding.DER, serialization.Encoding.PEM
_NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
_NAME = "log.test"


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_spki(key)).digest()


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass(frozen=True)
class Sigstore:
    """The services, and what they sign."""

    authority: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    certificates_log: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    signatures_log: ec.EllipticCurvePrivateKey = field(default_factory=_key)

    @property
    def trust_config(self) -> str:
        """The services' keys: a client trust config, as a file holds it."""
        begin = (_NOW - timedelta(days=365)).strftime("%Y-%m-%dT%H:%M:%SZ")

        def log(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            public = {
                "rawBytes": _text(_spki(key)),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": begin},
            }
            names = {"baseUrl": f"https://{_NAME}", "hashAlgorithm": "SHA2_256"}
            return {**names, "publicKey": public, "logId": {"keyId": _text(_id(key))}}

        chain = {"certificates": [{"rawBytes": _text(self._root().public_bytes(_DER))}]}
        subject = {"organization": "test", "commonName": "authority"}
        authority = {"subject": subject, "uri": f"https://{_NAME}", "certChain": chain, "validFor": {"start": begin}}
        roots = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.signatures_log)],
            "ctlogs": [log(self.certificates_log)],
            "certificateAuthorities": [authority],
            "timestampAuthorities": [],
        }
        signing = {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [],
            "oidcUrls": [],
            "rekorTlogUrls": [],
            "tsaUrls": [],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        }
        media_type = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
        return json.dumps({"mediaType": media_type, "trustedRoot": roots, "signingConfig": signing})

    def sign(self, payload: bytes, payload_type: str, identity: str, issuer: str) -> str:
        """A bundle: the payload, signed by a key that is certified to be the identity's, and the log's word for it."""
        key = _key()
        certificate = self._certificate(key, identity, issuer)
        head = f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} "
        signature = _sign(key, head.encode() + payload)
        envelope = {
            "payload": _text(payload),
            "payloadType": payload_type,
            "signatures": [{"sig": _text(signature)}],
        }
        entry = self._entry(payload, signature, certificate)
        material = {
            "certificate": {"rawBytes": _text(certificate.public_bytes(_DER))},
            "tlogEntries": [entry],
        }
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                "verificationMaterial": material,
                "dsseEnvelope": envelope,
            }
        )

    def _root(self) -> x509.Certificate:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        public = self.authority.public_key()
        return (
            x509.CertificateBuilder(_name("authority"), _name("authority"), public, 1)
            .not_valid_before(_NOW - timedelta(days=365))
            .not_valid_after(_NOW + timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self.authority, hashes.SHA256())
        )

    def _certificate(self, key: ec.EllipticCurvePrivateKey, identity: str, issuer: str) -> x509.Certificate:
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        names = x509.SubjectAlternativeName([x509.RFC822Name(identity)])
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key())
        builder = (
            x509.CertificateBuilder(_name("authority"), x509.Name([]), key.public_key(), 7)
            .not_valid_before(_NOW - timedelta(minutes=5))
            .not_valid_after(_NOW + timedelta(minutes=5))
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(above, critical=False)
            .add_extension(names, critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER, issuer.encode()), critical=False)
        )
        body = builder.sign(self.authority, hashes.SHA256()).tbs_certificate_bytes
        timestamps = x509.UnrecognizedExtension(_SCTS, self._timestamps(body))
        return builder.add_extension(timestamps, critical=False).sign(self.authority, hashes.SHA256())

    def _timestamps(self, body: bytes) -> bytes:
        """The certificates' log's promise to hold a certificate (RFC 6962, 3.2 and 3.3), as its extension's value."""
        moment = int(_NOW.timestamp() * 1000)
        entry = _id(self.authority) + len(body).to_bytes(3, "big") + body
        signature = _sign(self.certificates_log, struct.pack("!BBQH", 0, 0, moment, 1) + entry + b"\0\0")
        promise = struct.pack("!B32sQH", 0, _id(self.certificates_log), moment, 0)
        promise += struct.pack("!BBH", 4, 3, len(signature)) + signature  # SHA-256, ECDSA
        listed = struct.pack("!H", len(promise)) + promise
        value = struct.pack("!H", len(listed)) + listed
        length = [len(value)] if len(value) < 128 else [0x81, len(value)]
        return bytes([4, *length]) + value  # an octet string, in DER

    def _entry(self, payload: bytes, signature: bytes, certificate: x509.Certificate) -> dict[str, Any]:
        """What the signatures' log holds of a signature: the only leaf of its tree."""
        by = {"signature": _text(signature), "verifier": _text(certificate.public_bytes(_PEM))}
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": "0" * 64},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": [by],
        }
        body = _canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        leaf, key_id, moment = hashlib.sha256(b"\0" + body).digest(), _id(self.signatures_log), int(_NOW.timestamp())
        note = f"{_NAME} - 1\n1\n{_text(leaf)}\n"
        stamp = _text(key_id[:4] + _sign(self.signatures_log, note.encode()))
        promised = {"body": _text(body), "integratedTime": moment, "logID": key_id.hex(), "logIndex": 0}
        return {
            "logIndex": "0",
            "logId": {"keyId": _text(key_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(moment),
            "inclusionPromise": {"signedEntryTimestamp": _text(_sign(self.signatures_log, _canonical(promised)))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _text(leaf),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 {_NAME} {stamp}\n"},
            },
            "canonicalizedBody": _text(body),
        }


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
