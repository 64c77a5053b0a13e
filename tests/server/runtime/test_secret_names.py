"""What counts as a secret (what workers are started with: `tests/server/workers/test_launch.py`)."""

from __future__ import annotations

import pytest

from server.runtime.secret_names import is_secret


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("ADMIN_TOKEN", "", True),
        ("DATABASE_URL", "postgres://me:pass@db/x", True),
        ("HF_HOME", "/x", False),
        ("MONKEY", "x", False),
        ("SERVICE_URL", "http://host:80/a@b", False),
    ],
)
def test_secrets_are_known_by_name_and_value(name: str, value: str, expected: bool) -> None:
    assert is_secret(name, value) is expected
