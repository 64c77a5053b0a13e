"""The banner tells where the server listens, and leaves out what is not served."""

from __future__ import annotations

from pathlib import Path

from server.api.start_banner import banner
from server.config.settings import Settings


def test_the_addresses_and_who_may_change_the_server() -> None:
    lines = banner(Settings(), 4711, 4712, "nobody").splitlines()
    assert lines[0].startswith("PolyServe ")
    assert lines[0].endswith(" listens")
    assert [line.split() for line in lines[1:]] == [
        ["REST", "http://0.0.0.0:4711"],
        ["gRPC", "0.0.0.0:4712"],
        ["console", "http://localhost:4711/console"],
        ["API", "http://localhost:4711/docs"],
        ["admin", "nobody"],
    ]


def test_what_is_not_served_is_not_told() -> None:
    settings = Settings(
        enable_grpc=False, enable_console=False, enable_docs_url=False, root_path="/m", uds=Path("/run/s"), workers=3
    )
    lines = banner(settings, 80, 0, "nobody").splitlines()
    assert lines[0].endswith(" listens, in 3 processes")
    told = [line.split() for line in lines[1:]]
    assert told == [["REST", "http://0.0.0.0:80/m"], ["socket", "/run/s"], ["admin", "nobody"]]


def test_a_prefix_is_in_the_links() -> None:
    told = dict(line.split() for line in banner(Settings(root_path="/m"), 80, 81, "nobody").splitlines()[3:5])
    assert told == {"console": "http://localhost:80/m/console", "API": "http://localhost:80/m/docs"}


def test_tls_is_told_of_both() -> None:
    lines = banner(Settings(ssl_certfile="c", ssl_keyfile="k"), 8443, 8081, "nobody").splitlines()
    assert lines[1].split()[1] == "https://0.0.0.0:8443"
    assert lines[2].split()[1:] == ["0.0.0.0:8081", "(TLS)"]
