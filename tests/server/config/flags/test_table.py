"""A row of the table as the parser and the manual see it."""

from __future__ import annotations

import pytest

from server.config.flags.table import flags_of
from tests.server.config.flags.settings import Small

PORT, VERBOSE, NAME = flags_of(Small)


def test_spelling_and_defaults() -> None:
    assert (PORT.flag, PORT.env, PORT.usage, PORT.default_text) == (
        "--http_port",
        "HTTP_PORT",
        "--http_port=PORT",
        "8080",
    )
    assert (VERBOSE.env, VERBOSE.default_text, VERBOSE.kserve) == ("POLYSERVE_VERBOSE", "false", False)
    assert NAME.default_text == "the folder's"


def test_a_wrong_text_names_its_source() -> None:
    assert PORT.read("1", "HTTP_PORT") == 1
    with pytest.raises(ValueError, match=r"^HTTP_PORT='a\\n': must be a whole number, between 0 and 65535$"):
        PORT.read("a\n", "HTTP_PORT")
