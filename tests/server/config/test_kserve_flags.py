"""KServe's flags for one Hugging Face model are refused with the place where they are said here."""

from __future__ import annotations

import pytest

from adapters.huggingface_.adapter import HuggingFaceAdapter
from server.config.kserve_flags import SAID_ELSEWHERE
from server.config.settings import Settings, SettingsError


@pytest.mark.parametrize("flag", SAID_ELSEWHERE)
def test_a_flag_of_kserves_model_server_is_refused_with_the_way_out(flag: str) -> None:
    for spelt in (flag, flag.replace("_", "-")):
        with pytest.raises(SettingsError) as caught:
            Settings.parse([f"{spelt}=x"], {})
        assert caught.value.problems == (f"unknown flag --{spelt[2:]}; {SAID_ELSEWHERE[flag]}",)


def test_the_options_that_are_named_are_options() -> None:
    known = {option.name for option in HuggingFaceAdapter.options}
    named = {flag[2:] for flag, way_out in SAID_ELSEWHERE.items() if way_out.startswith(f"say options: {{{flag[2:]}:")}
    assert named
    assert named <= known
