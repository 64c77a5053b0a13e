"""The pages that are made from the code are those that it makes now; otherwise: `make docs`."""

from __future__ import annotations

import pytest
import yaml

from server.config.flags import flags_of
from server.config.model_config import _KEYS
from server.config.settings import Settings
from tests.docs import errors_page
from tests.docs.generate import GENERATED
from tests.docs.pages import blocks
from tests.docs.session import ROOT
from tests.messages import messages

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", GENERATED)
def test_a_page_is_up_to_date(name: str) -> None:
    assert (ROOT / name).read_text() == GENERATED[name](), f"{name} is stale: run make docs"


def test_every_flag_is_there() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    assert [flag.flag for flag in flags_of(Settings) if f"`{flag.env}`" not in page] == []


def test_every_key_of_a_models_file_is_there() -> None:
    (block,) = blocks((ROOT / "docs" / "settings.md").read_text())
    assert set(yaml.safe_load(block.text)) == set(_KEYS)


def test_forty_mistakes_are_shown() -> None:
    assert (ROOT / "docs" / "mistakes.md").read_text().count("$ polyserve ") >= 40


def test_what_a_request_can_be_refused_with_is_there() -> None:
    shown = {message.text for group in errors_page.grouped().values() for message in group}
    raised = {each.text for each in messages() if each.kind in ("InvalidInput", "NotReady", "QueueFull", "LoadError")}
    assert raised <= shown
