"""TLS for gRPC: with each connection gRPC asks for the certificate, and gets what the files hold now."""

from __future__ import annotations

import grpc

from server.runtime.certificates import CertificateFiles, Certificates


def server_credentials(files: CertificateFiles) -> grpc.ServerCredentials:
    """For `add_secure_port`; clients need certificates where the files say whose."""
    shown = files.current()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal shown
        current = files.current()
        if current is shown:
            return None
        shown = current
        return _configuration(current)

    return grpc.dynamic_ssl_server_credentials(_configuration(shown), renewed, files.wants_clients)


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    pair = (certificates.key, certificates.chain)
    return grpc.ssl_server_certificate_configuration([pair], certificates.authorities)
