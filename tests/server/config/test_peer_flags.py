"""What is typed from habit is answered by what is written here, which is so."""

from __future__ import annotations

import re

import pytest

from server.config.flags import flags_of
from server.config.peer_flags import PEER_FLAGS
from server.config.settings import Settings, SettingsError


@pytest.mark.parametrize("flag", PEER_FLAGS)
def test_the_way_out_is_told_and_its_flags_are_ours(flag: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.parse([f"{flag}=x"], {})
    assert caught.value.problems == (f"unknown flag {flag}; {PEER_FLAGS[flag]}",)
    named = set(re.findall(r"--[a-z_]+", PEER_FLAGS[flag]))
    assert named <= {each.flag for each in flags_of(Settings)}


def test_what_is_like_nothing_is_likened_to_nothing() -> None:
    with pytest.raises(SettingsError, match="--help lists the known ones"):
        Settings.parse(["--colour=red"], {})
