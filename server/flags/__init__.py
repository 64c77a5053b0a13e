"""Flags, environment variables and defaults from one table: a dataclass whose every field is a `setting`.

`kinds` reads values, `table` holds the rows, `parsing` reads command line and environment, `manual` writes the help.
Knows none of the settings themselves.
"""

from __future__ import annotations

from server.flags import kinds
from server.flags.manual import help_text, markdown
from server.flags.parsing import SettingsError, parse, unknown_variables
from server.flags.table import Flag, flags_of, setting

__all__ = [
    "Flag",
    "SettingsError",
    "flags_of",
    "help_text",
    "kinds",
    "markdown",
    "parse",
    "setting",
    "unknown_variables",
]
