"""What is said and done about models that other versions of their libraries made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from adapters.base import LoadError, Match, Origin, Rank
from adapters.registry import Choice
from server.loading.compatibility import hint, reason, refitted, warning
from tests.server.stand_ins import EchoAdapter

OLD = Origin("echo 1.0", "echo 2.0", requirements="echo==1.0\nnumpy<2")
LOST = Origin("echo 0.1", "echo 2.0", problem="for which no build exists")


def choice(origin: Origin | None, requirements: str = "", problem: str = "") -> Choice:
    return Choice(EchoAdapter, Match(Rank.CONTENT, "m.echo", problem, requirements=requirements, origin=origin))


def test_the_environment_of_the_versions_that_made_it() -> None:
    refit = refitted(choice(OLD, problem="it is old"))
    assert refit is not None
    assert (refit.match.requirements, refit.match.problem) == (OLD.requirements, "")


@pytest.mark.parametrize("other", [choice(None), choice(LOST), choice(OLD, requirements="echo==3")])
def test_where_there_is_none_or_it_has_its_own(other: Choice) -> None:
    assert refitted(other) is None


def test_the_way_out() -> None:
    assert hint(OLD) == "start the server with --auto_env, or put a requirements.txt with echo==1.0 beside it"
    assert hint(LOST) == "retrain the model, or save it anew with a newer version"


def test_why_it_cannot_be_loaded() -> None:
    error = LoadError("boom")
    assert reason(choice(None), error) == "boom"
    assert reason(choice(OLD, requirements="echo==3"), error) == "boom"
    assert reason(choice(OLD), error) == f"made by echo 1.0, which echo 2.0 cannot load: boom; {hint(OLD)}"
    lost = reason(choice(LOST), error)
    assert lost.startswith("made by echo 0.1, for which no build exists, and echo 2.0 cannot load: boom; ")


def test_what_is_wrong_with_one_that_is_served() -> None:
    assert warning(choice(OLD), "") == ""
    assert warning(choice(None), "it is odd") == "it is odd"
    assert warning(choice(replace(OLD)), "it is odd") == (
        f"it is odd; it was made by echo 1.0, and echo 2.0 is installed: {hint(OLD)}"
    )
