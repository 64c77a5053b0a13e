"""What code would lack is found by reading it."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.base import ModelDir
from server.cli.own_imports import missing_imports


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import kserve, no_such_one, no_such_two.part\nfrom no_such_one import x", ("no_such_one", "no_such_two")),
        ("import os.path\nimport numpy as np\nfrom kserve import Model", ()),
        ("import helper, parts.inner\nfrom . import helper", ()),
        ("try:\n    import no_such_one\nexcept ImportError:\n    no_such_one = None", ()),
        ("def load():\n    import no_such_one", ()),
        ("import no_such_one\nthis is no Python", ()),
    ],
)
def test_what_a_file_cannot_do_without(tmp_path: Path, code: str, absent: tuple[str, ...]) -> None:
    (tmp_path / "model.py").write_text(code)
    (tmp_path / "helper.py").touch()
    (tmp_path / "parts").mkdir()
    assert missing_imports(ModelDir.of(tmp_path)) == absent


def test_without_the_file(tmp_path: Path) -> None:
    assert missing_imports(ModelDir.of(tmp_path)) == ()
