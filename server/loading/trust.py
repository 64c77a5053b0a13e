"""What a model's files may do: the level that a claim needs against the level that the server allows (`--trust`).

    safe     only files that cannot carry code
    pickle   also pickles, as far as they name nothing but known libraries' classes
    code     also code that came with the model, which runs in a process of its own

A model's own folder never raises the level: whoever wrote the model may have written its polyserve.yaml too. Its
`trust: full` switches the checks of its files off; what they then may run is code, which needs --trust=code and gets
a process of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from adapters.base import LoadError, Trust
from adapters.registry import Choice
from server.config.model_config import FILE, ModelConfig

__all__ = ["Level", "allowed_by", "check", "in_full", "needed", "overruled"]

Level = Literal["safe", "pickle", "code"]

_LEVELS: dict[Level, Trust] = {"safe": Trust.SAFE, "pickle": Trust.PICKLE, "code": Trust.CODE}
_NAMES = {trust: level for level, trust in _LEVELS.items()}


def allowed_by(level: Level) -> Trust:
    """The most that files may do under `--trust=level`."""
    return _LEVELS[level]


def needed(choice: Choice) -> Trust:
    """The least level under which this claim may be loaded. Installing what a model names runs code."""
    return Trust.CODE if choice.match.requirements else choice.match.trust


def in_full(choice: Choice) -> Choice:
    """The claim on a model whose polyserve.yaml says `trust: full`: its checks are off, so it counts as code."""
    carries = choice.match.carries or f"may run whatever it names (`trust: full` in {FILE})"
    return replace(choice, match=replace(choice.match, trust=Trust.CODE, carries=carries))


def check(choice: Choice, allowed: Trust) -> None:
    """Refuse a claim that needs more than is allowed, before a framework opens any file of it.

    Raises:
        LoadError: it says what is needed, what is allowed, and the ways out.
    """
    level = needed(choice)
    if level <= allowed:
        return
    ways_out = [f"start the server with --trust={_NAMES[level]}"]
    if choice.match.trust is not level:
        what = "the requirements that came with the model would install packages, which runs their code"
        ways_out.append("remove them, where the server has what the model needs")
    else:
        what = _what(choice, level)
        ways_out += [f"save the model {choice.adapter.safe_form}"] if choice.adapter.safe_form else []
    raise LoadError(f"{what}; the server runs with --trust={_NAMES[allowed]}: {', or '.join(ways_out)}")


def _what(choice: Choice, level: Trust) -> str:
    subject = choice.match.file or "the folder"
    if choice.match.carries:
        return f"{subject} {choice.match.carries}"
    if level is Trust.CODE:
        return f"{subject} brings code of its own"
    return f"{subject} is read as a pickle" if choice.match.file else "the folder holds pickled weights"


def overruled(config: ModelConfig, allowed: Trust) -> str:
    """What to add to a refusal where the model's folder asked for full trust in vain."""
    if config.trust != "full" or allowed is Trust.CODE:
        return ""
    return f"; `trust: full` in {FILE} counts only under --trust=code, since a folder cannot vouch for itself"
