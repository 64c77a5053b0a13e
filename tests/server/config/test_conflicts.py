"""What does not go together, and the words for it."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from server.config.conflicts import conflicts
from server.config.settings import DEFAULTS, Settings
from tests.server.config.test_settings import problems


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).write_text("x")
    return str(tmp_path / "tls.crt"), str(tmp_path / "tls.key")


def test_the_defaults_agree() -> None:
    assert list(conflicts(Settings(), DEFAULTS)) == []


def test_ports_may_be_equal_where_they_do_not_meet(certificate: tuple[str, str]) -> None:
    cert, key = certificate
    tls = [f"--ssl_certfile={cert}", f"--ssl_keyfile={key}"]
    assert Settings.parse(["--http_port=0", "--grpc_port=0"], {}).http_port == 0
    assert Settings.parse(["--grpc_port=8080", "--enable_grpc=false"], {}).grpc_port == 8080
    assert Settings.parse([*tls, "--grpc_port=8080"], {}).rest_port == 8443
    assert len(problems(*tls, "--grpc_port=8443", "--grpc_frontend=grpcio")) == 1


def test_rest_and_grpc_may_share_a_port(certificate: tuple[str, str]) -> None:
    cert, key = certificate
    assert Settings.parse(["--http_port=8081"], {}).one_port
    assert Settings.parse([f"--ssl_certfile={cert}", f"--ssl_keyfile={key}", "--grpc_port=8443"], {}).one_port
    apart = [[], ["--http_port=0", "--grpc_port=0"], ["--http_port=8081", "--enable_grpc=false"]]
    assert not any(Settings.parse(argv, {}).one_port for argv in apart)


def test_a_certificate_needs_its_key(certificate: tuple[str, str]) -> None:
    cert, key = certificate
    assert problems(f"--ssl_certfile={cert}") == ("--ssl_certfile needs --ssl_keyfile beside it",)
    assert problems(KSERVE_TLS_KEY_FILE=key) == ("--ssl_keyfile needs --ssl_certfile beside it",)
    assert problems(f"--ssl_ca_certs={cert}") == ("--ssl_ca_certs needs --ssl_certfile and --ssl_keyfile beside it",)
    whole = [f"--ssl_certfile={cert}", f"--ssl_keyfile={key}", f"--ssl_ca_certs={cert}"]
    assert Settings.parse(whole, {}).ssl_ca_certs == cert


def test_a_sandbox_is_for_processes_of_models(tmp_path: Path) -> None:
    assert "--isolation=none leaves torch programs" in problems("--sandbox", "--isolation=none")[0]
    assert "--sandbox_network is about processes" in problems("--sandbox_network")[0]
    assert "--sandbox_read is about processes" in problems(f"--sandbox_read={tmp_path}")[0]
    told = Settings.parse(["--sandbox", f"--sandbox_read={tmp_path}", f"--sandbox-read={tmp_path}"], {})
    assert told.sandbox_read == (tmp_path, tmp_path)
    assert "must be a directory" in problems("--sandbox", f"--sandbox_read={tmp_path}/absent")[0]


def test_an_access_log_format_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asgi_logger", None)  # as if it were not installed
    assert problems("--access_log_format=%(h)s") == (
        "--access_log_format needs a package that is not installed: pip install asgi-logger",
    )
    package = ModuleType("asgi_logger")
    package.__spec__ = ModuleSpec("asgi_logger", None)
    monkeypatch.setitem(sys.modules, "asgi_logger", package)
    assert Settings.parse(["--access_log_format=%(h)s"], {}).access_log_format == "%(h)s"


def test_bodies_hold_a_body() -> None:
    (message,) = problems("--max_body_bytes=2000", "--max_bodies_bytes=1000")
    assert message.startswith("--max_bodies_bytes=1000 is less than --max_body_bytes=2000")


def test_paths_of_our_own_are_no_root() -> None:
    assert "choose another" in problems("--root_path=/v2/models")[0]


def test_payload_settings_need_a_target() -> None:
    assert "--payload_log_share is about what --payload_log sends on" in problems("--payload_log_share=0.5")[0]


def test_all_are_told_at_once() -> None:
    ports = ("--http_port=9000", "--grpc_port=9000", "--grpc_frontend=grpcio")
    assert len(problems("--sandbox_network", "--root_path=/v1", *ports)) == 3
