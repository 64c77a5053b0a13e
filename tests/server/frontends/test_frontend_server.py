"""The servers of a front process, over a control connection of a test's own."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from server.api.kserve.argv import arguments
from server.config.settings import Settings


@pytest.mark.parametrize(("connections", "workers"), [(100, 2), (100, 4)])
def test_it_takes_its_share_of_the_connections_and_no_grpc_where_there_is_none(
    connections: int, workers: int, tmp_path: Path
) -> None:
    settings = Settings(max_connections=connections, workers=workers, enable_grpc=False, configure_logging=False)
    with arguments(settings):
        from server.frontends.frontend_server import FrontendServer
    ours, theirs = socket.socketpair()
    with ours, theirs:
        start = {"http_port": 1, "grpc_port": 2, "directory": str(tmp_path)}
        server = FrontendServer(settings, 3, start, theirs)
        assert 0 < server._shares.http <= connections
        assert server._shares.http == FrontendServer(settings, 4, start, theirs)._shares.http
        with pytest.raises(StopIteration) as done:
            server._serve_grpc().send(None)
        assert done.value.value is None
