"""Models that other versions of their libraries made: an environment with those, by `--auto_env`, or how to get one."""

from __future__ import annotations

from dataclasses import replace

from adapters.base import Origin
from adapters.registry import Choice

__all__ = ["hint", "reason", "refitted", "warning"]


def refitted(choice: Choice) -> Choice | None:
    """The choice with the requirements of the versions that made the file; None where it needs none or has its own."""
    match = choice.match
    if match.requirements or match.origin is None or not match.origin.requirements:
        return None
    return replace(choice, match=replace(match, requirements=match.origin.requirements, problem=""))


def reason(choice: Choice, error: Exception) -> str:
    """Why a model could not be loaded by the installed versions, and what to do about it."""
    origin = choice.match.origin
    if origin is None or choice.match.requirements:  # with its own environment, it has what it asked for
        return str(error)
    why = f"{origin.problem}, and" if origin.problem else "which"
    return f"made by {origin.made_by}, {why} {origin.installed} cannot load: {error}; {hint(origin)}"


def warning(choice: Choice, problem: str) -> str:
    """What is wrong with a model that the installed versions serve, and what to do about it; "" where nothing is."""
    origin = choice.match.origin
    if not problem or origin is None or choice.match.requirements:
        return problem
    return f"{problem}; it was made by {origin.made_by}, and {origin.installed} is installed: {hint(origin)}"


def hint(origin: Origin) -> str:
    """What the operator can do."""
    if not origin.requirements:
        return "retrain the model, or save it anew with a newer version"
    first = origin.requirements.partition("\n")[0]
    return f"start the server with --auto_env, or put a requirements.txt with {first} beside it"
