"""What may be done with a model's calls, and adapters that say it in the old place."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, fields, replace
from typing import Any, ClassVar, Self

import pytest

from adapters import registry
from adapters.base import Adapter, Match, ModelDir, Parameters, Signature, Tensors, Traits

NAMES = [each.name for each in fields(Traits)]


class Plain(Adapter):
    """An adapter that says nothing of its traits."""

    name = "plain"
    platform = "plain"

    @classmethod
    def match(cls, model_dir: ModelDir) -> Match | None:
        return None

    @classmethod
    def load(cls, model_dir: ModelDir, file: str, options: Parameters) -> Self:
        return cls(Signature((), ()))

    def predict(self, inputs: Tensors, parameters: Parameters) -> Tensors:
        return inputs


@dataclass(eq=False)
class Quick(Plain):
    """One with traits and a field of its own."""

    traits = Traits(steady=True, parallel=True)
    number: int


def test_the_defaults_promise_what_most_models_keep() -> None:
    assert Plain(Signature((), ())).traits == Traits() == Traits(
        batchable=True, thread_safe=True, parallel=False, steady=False
    )  # fmt: skip


def test_a_class_gives_its_frameworks_traits() -> None:
    assert Quick.traits == Quick(Signature((), ()), 1).traits == Traits(steady=True, parallel=True)


def test_a_model_has_traits_of_its_own() -> None:
    one, other = Quick(Signature((), ()), 1), Quick(Signature((), ()), 2)
    one.traits = replace(one.traits, batchable=False)
    assert one.traits == Traits(steady=True, parallel=True, batchable=False)
    assert other.traits == Quick.traits == Traits(steady=True, parallel=True)


def test_traits_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Traits().batchable = False  # type: ignore[misc]
    with pytest.raises(TypeError):
        Traits(False)  # type: ignore[misc]


@pytest.mark.parametrize("name", NAMES)
def test_a_trait_outside_of_the_traits_is_refused(name: str) -> None:
    message = rf"Old sets {name}, which is a part of its traits: traits = Traits\({name}=...\)"
    with pytest.raises(TypeError, match=message):
        type("Old", (Plain,), {name: False})
    with pytest.raises(TypeError, match=message):
        type("Old", (type("Mixin", (), {name: False}), Plain), {})
    adapter: Any = Plain(Signature((), ()))
    with pytest.raises(TypeError, match=f"Plain sets {name}"):
        setattr(adapter, name, False)
    with pytest.raises(AttributeError, match=f"Plain has no {name}: it is a part of its traits"):
        getattr(adapter, name)


def test_a_dataclass_with_an_old_trait_is_refused_too() -> None:
    with pytest.raises(TypeError, match="Old sets batchable"):

        @dataclass(eq=False)
        class Old(Plain):
            batchable: ClassVar[bool] = False


@pytest.mark.parametrize("name", registry.TABLE)
def test_every_adapter_names_itself(name: str) -> None:
    adapter = registry.get(name)
    assert adapter.name == name
    assert adapter.platform
    assert isinstance(adapter.traits, Traits)
