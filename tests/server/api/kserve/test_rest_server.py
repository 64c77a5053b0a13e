"""KServe's REST server is told what our settings say."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from server.api.kserve.rest_server import rest_server
from server.api.rest.bounded_protocol import Bounds
from server.api.shared_port import SharedPort
from server.config.settings import Settings
from server.runtime.certificates import CertificateFiles
from tests.certificates import Authority


async def application(scope: object, receive: object, send: object) -> None: ...


def test_our_settings_and_protocol_are_handed_over() -> None:
    settings = Settings.parse(["--grace_period=2.5", "--access_log=false"], {})
    rest = rest_server(settings, application, 0, asyncio.Protocol, Bounds())
    assert rest.config.http is asyncio.Protocol
    assert not rest.config.proxy_headers
    assert rest.config.timeout_graceful_shutdown == 3  # whole seconds, rounded up


@pytest.mark.parametrize("shared", [False, True])
def test_by_tls_it_offers_what_it_speaks(tmp_path: Path, shared: bool) -> None:
    pair = Authority(tmp_path).sign("server")
    files = CertificateFiles(str(pair.chain), str(pair.key))
    port = SharedPort() if shared else None
    rest = rest_server(Settings(), application, 0, asyncio.Protocol, Bounds(), files, shared_port=port)
    (context, *_) = rest.config.http.args  # type: ignore[union-attr]
    assert context() is (files.current().shared_context if shared else files.current().context)


def test_a_shared_port_looks_at_first_bytes() -> None:
    rest = rest_server(Settings(), application, 0, asyncio.Protocol, Bounds(), shared_port=(port := SharedPort()))
    assert rest.config.http.func == port.protocol  # type: ignore[union-attr]
