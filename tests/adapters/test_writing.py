"""WRITING.md is true: its code stands in the files that it names, and what it refers to is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from adapters import registry

PACKAGE = Path(registry.__file__).parent
ROOT = PACKAGE.parent
TEXT = (PACKAGE / "WRITING.md").read_text(encoding="utf-8")

#: (file, code that stands in it; a line of three dots is what is left out)
SAMPLES = re.findall(r"<!-- (\S+) -->\n```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("file", "code"), SAMPLES, ids=[f"{file}-{i}" for i, (file, _) in enumerate(SAMPLES)])
def test_code_stands_in_its_file_in_this_order(file: str, code: str) -> None:
    source = (ROOT / file).read_text(encoding="utf-8")
    at = 0
    for part in code.split("...\n"):
        found = source.find(part, at)
        assert found >= 0, f"{file} does not hold\n{part}"
        at = found + len(part)


def test_every_sample_of_python_is_checked() -> None:
    assert len(SAMPLES) == TEXT.count("```python")


def test_links_and_names_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert (PACKAGE / link).exists(), link
    for name in re.findall(r"`((?:tests|adapters|deploy)/[\w./]+)`", TEXT):
        assert (ROOT / name).exists() or "NAME" in name, name


def test_the_entry_point_is_in_the_group_that_is_read() -> None:
    (sample,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert list(tomllib.loads(sample)["project"]["entry-points"]) == [registry.ENTRY_POINTS]
