"""The numbers are in one place, can not be changed while the server runs, and each says why it is that."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from server.inference.batching import tuning
from server.inference.batching.tuning import TUNING, Tuning

MODULES = sorted(Path(tuning.__file__).parent.glob("*.py"))


def test_nobody_changes_them() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TUNING.alone_seconds = 2.0  # type: ignore[misc]
    assert Tuning(alone_seconds=2.0) != TUNING


def test_each_has_its_reason() -> None:
    """A comment in front of it, or of the field that it belongs together with."""
    lines = Path(tuning.__file__).read_text().splitlines()
    fields = [field.name for field in dataclasses.fields(Tuning)]
    for name in fields:
        at = next(number for number, line in enumerate(lines) if line.strip().startswith(f"{name}:"))
        above = lines[at - 1].strip()
        assert above.startswith(("#:", *[f"{other}:" for other in fields])), name


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_no_module_has_numbers_of_its_own(file: Path) -> None:
    """Else a test could not give its own, nor a reader find them."""
    numbers = [
        ast.unparse(node)
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, int | float)
    ]
    assert not numbers
