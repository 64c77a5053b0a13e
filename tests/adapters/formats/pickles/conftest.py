from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.adapters.formats.pickles.kit import fitted_models


@pytest.fixture(scope="package")
def models() -> dict[str, Any]:
    return fitted_models()


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The file that an attack would create."""
    return tmp_path / "mark"
