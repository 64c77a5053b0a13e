"""The limits of connections, heads and bodies are those that the settings say."""

from __future__ import annotations

from server.api.rest.limits import HttpLimits
from server.config.settings import Settings


def test_the_limits_are_the_settings() -> None:
    flags = ("max_head_bytes=1000", "max_headers=7", "max_bodies_bytes=200MiB", "first_byte_timeout=1",
             "head_timeout=2", "body_timeout=3", "send_timeout=4", "timeout_keep_alive=5")  # fmt: skip
    settings = Settings.parse([f"--{flag}" for flag in flags], {})
    assert HttpLimits.of(settings, 99) == HttpLimits(99, 1000, 7, 200 * 2**20, 1.0, 2.0, 3.0, 4.0, 5)


def test_the_defaults_are_those_of_the_settings() -> None:
    assert HttpLimits.of(Settings(), HttpLimits.max_connections) == HttpLimits()
