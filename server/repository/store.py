"""What a repository holds: the versions of each model, their states, and who answers for a name.

States never change, they are replaced: in one assignment, under the lock, on whichever thread has news. Readers on the
event loop take no lock, and never see half of a change.

    put --> the model's versions hold the state --> `serving[name]` is the newest version that serves
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import NamedTuple

from server.config.shadow_config import ShadowConfig
from server.inference.model import ServedModel
from server.loading.catalog import Found
from server.loading.load_spec import LoadSpec
from server.loading.memory_budget import ModelKey
from server.repository.state import ModelState, ModelVersions
from server.telemetry.metrics import MetricsByModel, ModelDetails

#: characters of a name that there may be a model of. For what combines with others Python takes the square of a text's
#: length to normalize it, and whoever asks for a model says what it is called
LONGEST_NAME = 1024


class Shadow(NamedTuple):
    """A version that runs beside the one that serves."""

    model: ServedModel
    config: ShadowConfig


class ModelStore:
    """States by name and version. Thread-safe."""

    def __init__(self, metrics: MetricsByModel | None = None) -> None:
        self.metrics = metrics or MetricsByModel()
        self.models: dict[str, ModelVersions] = {}  #: by name
        self.serving: dict[str, ServedModel] = {}  #: what a request is for that names no version
        self.shadows: dict[str, Shadow] = {}  #: what runs beside it
        self.promoted: set[ModelKey] = set()  #: shadows that serve, whatever their files say
        self.lock = threading.RLock()  #: held while states are replaced, never while a model is loaded

    def get(self, key: ModelKey) -> ModelState | None:
        """The state of one version."""
        versions = self.models.get(key[0])
        return versions.states.get(key[1]) if versions is not None else None

    def states(self) -> list[ModelState]:
        """The states of all versions of all models."""
        with self.lock:
            return [state for versions in self.models.values() for state in versions.states.values()]

    def known_as(self, name: str) -> str:
        """The name of a model that is there for this one, which may be spelled otherwise in Unicode.

        An é is one character or two: a folder's name comes as its file system keeps it, a request's as its client's
        keyboard wrote it, and nobody sees which. Without such a model the name itself.
        """
        if name in self.models or name.isascii() or len(name) > LONGEST_NAME:
            return name
        same = unicodedata.normalize("NFC", name)
        return next((each for each in self.names() if unicodedata.normalize("NFC", each) == same), name)

    def names(self) -> list[str]:
        """The models' names."""
        return list(self.models)

    def load_specs(self, name: str) -> dict[str | None, LoadSpec]:
        """Who answers for a name now, by version and label (None: the name alone), of what others can load, too."""
        with self.lock:
            versions = self.models.get(name)
            if versions is None:
                return {}
            known: dict[str | None, ModelState | None] = {None: versions.newest}
            known.update(versions.numbers())
            known.update((label, versions.of(label)) for label in versions.labels)
        return {key: state.load_spec for key, state in known.items() if state and state.model and state.load_spec}

    def reasons(self, name: str) -> list[str]:
        """Why versions of a model are in the states that they are in."""
        with self.lock:
            versions = self.models.get(name)
            reasons = [state.now[1] for state in versions.states.values()] if versions is not None else []
        return [reason for reason in reasons if reason]

    def mounted(self) -> dict[str, list[Found]]:
        """The versions of every model that comes from the mount, not from a store of objects."""
        names: dict[str, list[Found]] = {}
        for state in self.states():
            if state.found.source is None:
                names.setdefault(state.found.name, []).append(state.found)
        return names

    def memory(self) -> dict[str, int]:
        """What each model that is in memory takes, in bytes: all its versions."""
        sizes: dict[str, int] = {}
        for state in self.states():
            if state.model is not None:
                sizes[state.found.name] = sizes.get(state.found.name, 0) + state.memory
        return sizes

    def details(self) -> list[ModelDetails]:
        """Each version that is in memory, as the metrics show it; of those in this process the requests under way."""
        return [
            ModelDetails(
                *(state.found.name, state.found.version),
                {"adapter": state.model.adapter.name, "made_by": state.model.made_by},
                state.seconds,
                state.model.in_flight.count,
                state.model.pool.memory if state.model.pool is not None else (),
            )
            for state in self.states()
            if state.model is not None
        ]

    def loaded(self) -> list[ServedModel]:
        """What is in memory."""
        return [state.model for state in self.states() if state.model is not None]

    def downloaded(self) -> dict[str, int]:
        """Bytes that were downloaded of each model that comes from a store."""
        found = {state.found.name: state.found.source for state in self.states()}
        return {name: source.downloaded for name, source in found.items() if source is not None}

    def queues(self) -> dict[str, tuple[str, int]]:
        """Each model's state, and how many requests wait for it in this process."""
        with self.lock:
            models = {name: (each.newest, list(each.states.values())) for name, each in self.models.items()}
        return {
            name: (str(newest.now[0]), sum(state.model.waiting for state in states if state.model))
            for name, (newest, states) in models.items()
        }

    def put(self, state: ModelState) -> None:
        """A version has come to be in this state, whatever it was in before."""
        name = state.found.name
        with self.lock:
            versions = self.models.get(name) or ModelVersions()
            versions.put(state)
            self.models[name] = versions
            self._settle(name)

    def as_promoted(self, found: Found) -> Found:
        """A directory as it is served: one that was promoted is no shadow any more, whatever its file says."""
        return replace(found, shadow=None) if found.key in self.promoted else found

    def replace(self, old: ModelState, new: ModelState, labels: Mapping[str, str] | None = None) -> bool:
        """Put `new` in the place of `old`, unless somebody else (who unloaded the model, say) did meanwhile."""
        with self.lock:
            if self.get(old.found.key) is not old:
                return False
            self.put(new)
            if labels is not None:
                self.models[old.found.name].labels = dict(labels)
            return True

    def remove(self, name: str, versions: Collection[str] | None = None) -> list[ModelState]:
        """Forget these versions of a model (None: all, and the model with them); what they were."""
        with self.lock:
            known = self.models.get(name)
            if known is None:
                return []
            removed = [state for version, state in known.states.items() if versions is None or version in versions]
            if len(removed) == len(known.states):
                del self.models[name]
            else:
                known.drop({state.found.version for state in removed})
            self._settle(name)
        return removed

    def _settle(self, name: str) -> None:
        """Say anew who serves a name."""
        versions = self.models.get(name)
        model = versions.newest.model if versions is not None else None
        beside = versions.shadow if versions is not None else None
        if beside is not None and beside.model is not None and beside.found.shadow is not None:
            self.shadows[name] = Shadow(beside.model, beside.found.shadow)
        else:
            self.shadows.pop(name, None)
        if model is None:
            self.serving.pop(name, None)
            return
        if self.serving.get(name, model) is not model:
            self.metrics.of(name).swaps += 1
        self.serving[name] = model
