"""The pipeline that most of the tests here share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.spacy_.pipelines import save
from tests.adapters.spacy_.pipelines import trained as train


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(train(), tmp_path_factory.mktemp("trained"))
