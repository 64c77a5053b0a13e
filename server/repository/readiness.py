"""Whether the server is ready, by what `--ready` asks for."""

from __future__ import annotations

from server.repository.state import State
from server.repository.store import ModelStore


def why_not_ready(store: ModelStore, rule: str, scanned: bool, *, loading: int = 0, named: bool = True) -> str:
    """Why the server is not ready; empty when it is. `scanned`: every directory was tried; `loading`: models that were
    not yet.

    The rule `scan` asks for no more than that, `any` and `all` for so many ready models besides. A mount that is one
    model is ready when that model is: its rule is `all`. `named`: models are called by their names, with reasons.
    """
    if scanned and rule == "scan":
        return ""
    if not scanned:  # as it is asked again and again while a thousand models are loaded, none of them is looked at
        return f"{loading} of {len(store.models)} models are still loading"
    models = list(store.models.items())
    now = {name: versions.newest.now for name, versions in models}
    bad = {name: reason for name, (state, reason) in now.items() if state not in (State.READY, State.EVICTED)}
    if (rule == "all" and bad) or (rule == "any" and len(bad) == len(models)):
        if models and not named:
            return f"{len(bad)} of {len(models)} models are not ready"
        return "; ".join(f"{name}: {reason}" for name, reason in bad.items()) or "there is no model"
    return ""
