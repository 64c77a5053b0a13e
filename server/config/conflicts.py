"""Which settings do not go together; each is told with what to do about it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

__all__ = ["conflicts"]

#: a `Settings`, whose module needs this one
Table: TypeAlias = Any
#: what paths of the server's own begin with
_OWN_PATHS = ("/v1", "/v2", "/openai", "/predictions", "/explanations", "/docs", "/metrics", "/ping", "/openapi.json")
_SIGNERS = ("verify_key", "verify_certificates", "verify_identity")


def conflicts(settings: Table, defaults: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each; `defaults` has every setting's default by name."""
    yield from _of_ports_and_paths(settings)
    yield from _of_tls(settings)
    yield from _of_sandbox(settings)
    yield from _of_signers(settings)
    yield from _of_logs(settings, defaults)
    if settings.max_bodies_bytes and settings.max_bodies_bytes < settings.max_body_bytes:
        yield (
            f"--max_bodies_bytes={settings.max_bodies_bytes} is less than --max_body_bytes={settings.max_body_bytes}: "
            "a body as large as that would never fit"
        )


def _of_ports_and_paths(settings: Table) -> Iterator[str]:
    http, grpc = settings.http_port, settings.grpc_port
    if settings.one_port and settings.grpc_frontend == "grpcio":
        yield (
            f"--http_port={http} and --grpc_port={grpc}: with --grpc_frontend=grpcio the two servers need different "
            "ports; the server's own HTTP/2 (--grpc_frontend=http2) shares one with REST"
        )
    if settings.allow_credentials and (not settings.allowed_origins or "*" in settings.allowed_origins):
        yield "--allow_credentials needs the origins by name in --allowed_origins: * would let every page in"
    if settings.root_path.startswith(_OWN_PATHS):
        yield f"--root_path={settings.root_path}: paths of the server itself begin so; choose another"


def _of_tls(settings: Table) -> Iterator[str]:
    if settings.ssl_certfile and not settings.ssl_keyfile:
        yield "--ssl_certfile needs --ssl_keyfile beside it"
    if settings.ssl_keyfile and not settings.ssl_certfile:
        yield "--ssl_keyfile needs --ssl_certfile beside it"
    if settings.ssl_ca_certs and not settings.ssl_certfile:
        yield "--ssl_ca_certs needs --ssl_certfile and --ssl_keyfile beside it"


def _of_sandbox(settings: Table) -> Iterator[str]:
    if settings.sandbox and settings.isolation == "none":
        yield "--sandbox confines models' own processes, and --isolation=none leaves torch programs in the server's"
    for name in ("sandbox_network", "sandbox_read"):
        if getattr(settings, name) and not settings.sandbox:
            yield f"--{name} is about processes that --sandbox confines, and that is not given"


def _of_signers(settings: Table) -> Iterator[str]:
    given = [name for name in _SIGNERS if getattr(settings, name)]
    if len(given) > 1:
        yield f"{' and '.join(f'--{name}' for name in given)}: one of them says who must have signed the models"
    if bool(settings.verify_identity) != bool(settings.verify_issuer):
        yield "--verify_identity and --verify_issuer need each other: a name counts by whom vouches for it"
    if settings.verify_trust_config and not settings.verify_identity:
        yield "--verify_trust_config needs --verify_identity, whose signatures it is for"


def _of_logs(settings: Table, defaults: Mapping[str, Any]) -> Iterator[str]:
    if settings.log_format != "text" and (settings.log_config_file or not settings.configure_logging):
        other = "--log_config_file" if settings.log_config_file else "--configure_logging=false"
        yield f"--log_format={settings.log_format} is for the log that the server sets up, and {other} sets up another"
    for name in ("payload_log_mode", "payload_log_share", "payload_log_headers"):
        if getattr(settings, name) != defaults[name] and settings.payload_log is None:
            yield f"--{name} is about what --payload_log sends on, and that is not given"
    if settings.access_log_format and importlib.util.find_spec("asgi_logger") is None:
        yield "--access_log_format needs a package that is not installed: pip install asgi-logger"
