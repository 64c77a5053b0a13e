"""KServe's REST server is told what our settings say."""

from __future__ import annotations

import asyncio

from server.api.kserve.rest_server import rest_server
from server.api.rest.bounded_protocol import Bounds
from server.config.settings import Settings


async def application(scope: object, receive: object, send: object) -> None: ...


def test_our_settings_and_protocol_are_handed_over() -> None:
    settings = Settings.parse(["--grace_period=2.5", "--access_log=false"], {})
    rest = rest_server(settings, application, 0, asyncio.Protocol, Bounds())
    assert rest.config.http is asyncio.Protocol
    assert not rest.config.proxy_headers
    assert rest.config.timeout_graceful_shutdown == 3  # whole seconds, rounded up
