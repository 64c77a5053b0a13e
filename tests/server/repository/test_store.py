"""The states of all models: replaced in one step, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from adapters.base import ModelDir
from server.config.model_uri import Address
from server.loading.files import NO_FILES
from server.loading.load_spec import LoadSpec
from server.loading.storage.source import Source
from server.repository.state import ModelState, State
from server.repository.store import ModelStore
from server.workers.messages import WorkerModel
from tests.server.repository.kit import found, ready


def spec(version: str) -> LoadSpec:
    model = WorkerModel("echo", ModelDir.of("nowhere"), "model.echo", {})
    return LoadSpec("m", version, model, NO_FILES, batchable=True, batching=True, max_batch_rows=None, lanes=None)


def test_who_serves_a_name_is_settled_at_once() -> None:
    store = ModelStore()
    first, second = ready(version="1"), ready(version="2")
    store.put(first)
    assert store.serving == {"m": first.model}
    store.put(second)
    assert store.serving == {"m": second.model}
    assert store.metrics.of("m").swaps == 1
    store.put(ModelState(second.found, State.UNAVAILABLE))
    assert store.serving == {"m": first.model}
    assert store.remove("m", {"1"}) == [first]
    assert store.serving == {}
    assert store.names() == ["m"]
    assert len(store.remove("m")) == 1
    assert store.names() == []
    assert store.remove("m") == []


def test_a_state_is_replaced_unless_another_took_its_place() -> None:
    store = ModelStore()
    loading = ModelState(found())
    store.put(loading)
    unloaded = ModelState(found(), State.UNAVAILABLE, "unloaded")
    assert store.replace(loading, unloaded)
    assert not store.replace(loading, ready(), {"stable": "1"})
    assert store.get(("m", "")) is unloaded
    assert store.models["m"].labels == {}
    assert store.replace(unloaded, replace(unloaded, reason="why"), {"stable": "1"})
    assert store.models["m"].labels == {"stable": "1"}
    assert store.reasons("m") == ["why"]
    assert store.reasons("nobody") == []
    assert store.get(("nobody", "")) is None


def test_what_other_processes_can_load_by_version_and_label() -> None:
    store = ModelStore()
    store.put(replace(ready(version="1"), load_spec=spec("1")))
    store.put(replace(ready(version="2"), load_spec=spec("2")))
    store.put(ready(version="3"))  # in processes of its own
    store.models["m"].labels = {"stable": "1", "nothing": "9"}
    specs = {key: each.version for key, each in store.load_specs("m").items()}
    assert specs == {"1": "1", "2": "2", "stable": "1"}
    store.remove("m", {"3"})
    assert store.load_specs("m")[None].version == "2"
    assert store.load_specs("nobody") == {}


def test_what_comes_from_the_mount() -> None:
    store = ModelStore()
    store.put(ready(version="1"))
    store.put(ready(version="2"))
    address = Address.read("https://example.org/models/m.onnx")
    downloaded = replace(found("far"), source=Source("far", address, Path("nowhere")))
    store.put(ModelState(downloaded))
    assert {name: [each.version for each in versions] for name, versions in store.mounted().items()} == {
        "m": ["1", "2"]
    }


def test_memory_and_queues_of_all_versions_of_a_model() -> None:
    store = ModelStore()
    store.put(replace(ready(version="1"), memory=10))
    store.put(replace(ready(version="2"), memory=5))
    store.put(ModelState(found("out"), State.EVICTED, memory=7))
    assert store.memory() == {"m": 15}
    assert store.queues() == {"m": ("READY", 0), "out": ("EVICTED", 0)}


def test_a_name_is_found_however_unicode_spells_it() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    for held, asked in ((composed, decomposed), (decomposed, composed)):
        store = ModelStore()
        store.put(ready(held))
        assert store.known_as(asked) == held
        assert store.known_as(held) == held
    store.put(ready(composed))
    assert store.known_as(composed) == composed, "its own comes first"
    assert store.known_as("caf\u00ea") == "caf\u00ea"
    assert store.known_as("nobody") == "nobody"


def test_a_name_is_known_however_its_accents_are_written_and_none_of_megabytes_is_looked_for() -> None:
    """Marks in an order that is not theirs: Python takes minutes to normalize these two megabytes, longer ones days."""
    store = ModelStore()
    store.put(ready("cafe\u0301"))
    assert store.known_as("caf\u00e9") == "cafe\u0301"
    marks = "\u0301\u0316" * 1_000_000
    assert store.known_as(marks) == marks
