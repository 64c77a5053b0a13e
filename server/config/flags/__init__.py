"""Flags, environment variables and defaults from one table: a dataclass whose every field is a `setting`.

`types` reads values, `table` holds the rows, `parsing` reads command line and environment, `help` writes the help.
Knows none of the settings themselves.
"""

from __future__ import annotations

from server.config.flags import types
from server.config.flags.help import help_text, markdown
from server.config.flags.parsing import SettingsError, parse, unknown_variables
from server.config.flags.table import Flag, flags_of, setting

__all__ = [
    "Flag",
    "SettingsError",
    "flags_of",
    "help_text",
    "markdown",
    "parse",
    "setting",
    "types",
    "unknown_variables",
]
