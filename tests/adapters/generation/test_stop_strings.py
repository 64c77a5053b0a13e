"""Stop strings, wherever the pieces cut them: nothing of them gets out, and nothing else is kept back."""

from __future__ import annotations

import random

import pytest

from adapters.generation.stop_strings import StopStrings


def run(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    filter_ = StopStrings(stops)
    text = "".join(filter_.feed(piece) for piece in pieces)
    return text + ("" if filter_.found else filter_.flush()), filter_.found


@pytest.mark.parametrize("pieces", [["abcSTOPdef"], list("abcSTOPdef"), ["abcS", "TO", "Pdef"], ["abcSTO", "P"]])
def test_the_text_ends_before_the_stop(pieces: list[str]) -> None:
    assert run(["STOP"], pieces) == ("abc", True)


def test_a_beginning_that_comes_to_nothing_is_sent() -> None:
    stops = StopStrings(["STOP"])
    assert [stops.feed(piece) for piece in ("a ST", "ST", "ART")] == ["a ", "ST", "START"]
    assert stops.feed("STO") == ""
    assert stops.flush() == "STO"


def test_only_what_could_begin_one_is_kept_back() -> None:
    stops = StopStrings(["\n\nUser:"])
    assert stops.feed("hello") == "hello"
    assert stops.feed(" there\n") == " there"


def test_the_first_of_several_counts() -> None:
    assert run(["###", "b"], ["a", "b#", "##"]) == ("a", True)
    assert run(["aab", "b"], ["aaab"]) == ("a", True)


def test_nothing_comes_after_the_stop() -> None:
    stops = StopStrings(["x"])
    assert [stops.feed("axb"), stops.feed("c"), stops.flush()] == ["a", "", ""]


def test_without_stops_all_passes() -> None:
    assert run([], ["a", "b"]) == ("ab", False)


def test_every_way_of_cutting_gives_the_same() -> None:
    chance = random.Random(3)
    for _ in range(500):
        text = "".join(chance.choice("ab") for _ in range(30))
        stops = ["".join(chance.choice("ab") for _ in range(chance.randrange(1, 6))) for _ in range(2)]
        cuts = sorted(chance.sample(range(31), 6))
        pieces = [text[one:other] for one, other in zip([0, *cuts], [*cuts, 30], strict=True)]
        first = min((text.find(stop) for stop in stops if stop in text), default=len(text))
        sent, found = run(stops, pieces)
        assert found == any(stop in text for stop in stops)
        assert len(sent) >= first
        assert text.startswith(sent)
