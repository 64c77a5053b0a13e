"""What KServe finds in `sys.argv` while it is imported, and that nobody finds it later."""

from __future__ import annotations

import sys

import pytest

from server.api.kserve.argv import arguments
from server.config.settings import Settings


def test_within_the_settings_are_the_command_line() -> None:
    settings, before = Settings(http_port=1234), sys.argv
    with arguments(settings):
        assert sys.argv == [*settings.kserve_argv(), "--enable_docs_url=False"]
        assert any("1234" in argument for argument in sys.argv)
    assert sys.argv is before


def test_an_import_that_fails_leaves_the_own_command_line() -> None:
    before = sys.argv
    with pytest.raises(ImportError), arguments(Settings()):
        raise ImportError("kserve")
    assert sys.argv is before
