"""A small table of settings, for tests of what is made of one."""

from __future__ import annotations

from dataclasses import dataclass

from server.config.flags import types
from server.config.flags.table import setting


@dataclass(frozen=True)
class Small:
    http_port: int = setting(8080, types.integer("PORT", 0, 65535), "Ports", "Where it | listens.", env="HTTP_PORT")
    verbose: bool = setting(False, types.switch(), "Rest", "Says more.")
    name: str | None = setting(None, types.text("NAME"), "Rest", "What it is called.", shown="the folder's")
