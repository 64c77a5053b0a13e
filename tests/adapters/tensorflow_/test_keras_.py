"""Keras files: served when they hold nothing but Keras' own, refused with a reason when they hold more."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import registry
from adapters.base import LoadError, ModelDir
from tests.adapters.tensorflow_ import models

pytestmark = pytest.mark.slow  # TensorFlow alone takes seconds to import


def small() -> Any:
    import keras

    return keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(3, name="dense")])


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "weights.hdf5"])
def test_a_model_answers_as_keras_does(tmp_path: Path, name: str) -> None:
    model = small()
    model.save(tmp_path / name)
    adapter = models.load(tmp_path)
    rows = np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)
    (answer,) = adapter.predict({adapter.signature.inputs[0].name: rows}, {}).values()
    np.testing.assert_array_equal(answer, model.predict(rows, verbose=0))
    assert adapter.traits.batchable


def test_several_inputs_and_outputs_keep_their_names(tmp_path: Path) -> None:
    import keras

    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    total = keras.layers.Add(name="total")([a, b])
    top = keras.layers.Maximum(name="top")([a, b])
    keras.Model({"a": a, "b": b}, {"total": total, "top": top}).save(tmp_path / "m.keras")
    adapter = models.load(tmp_path)
    left, right = np.array([[1, 5]], np.float32), np.array([[3, 2]], np.float32)
    answers = adapter.predict({"a": left, "b": right}, {})
    assert {name: value.tolist() for name, value in answers.items()} == {"total": [[4, 7]], "top": [[3, 5]]}


def test_a_model_of_texts(tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    layer = keras.layers.TextVectorization(output_sequence_length=3, vocabulary=["good", "bad"])
    keras.Sequential([keras.Input((), dtype="string", name="text"), layer]).save(tmp_path / "m.keras")
    adapter = models.load(tmp_path)
    texts = np.array([b"good bad", b"unknown"], dtype=np.object_)
    (answer,) = adapter.predict({"text": texts}, {}).values()
    assert answer.tolist() == layer(tf.constant(texts)).numpy().tolist()


def with_lambda() -> Any:
    import keras

    return keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)])


def with_custom_class() -> Any:
    import keras

    class Doubling(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return 2 * x

    return keras.Sequential([keras.Input((4,)), Doubling()])


def with_custom_function() -> Any:
    import keras

    def wavy(x: Any) -> Any:
        return keras.ops.sin(x)

    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation=wavy)])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (with_lambda, "Lambda layer.*model.export"),
        (with_custom_class, "custom class '.*Doubling'.*model.export"),
        (with_custom_function, "custom function 'wavy'.*model.export"),
    ],
)
@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_code_of_the_users_is_named(tmp_path: Path, make: Callable[[], Any], reason: str, name: str) -> None:
    make().save(tmp_path / name)
    if name == "m.h5" and make is not with_lambda:
        reason = "Doubling|wavy|custom"  # the old form tells less: Keras itself finds that it knows no such thing
    with pytest.raises(LoadError, match=reason):
        models.load(tmp_path)


def test_a_loss_of_the_users_does_not_matter(tmp_path: Path) -> None:
    def strange_loss(true: Any, predicted: Any) -> Any:
        return true - predicted

    model = small()
    model.compile(optimizer="sgd", loss=strange_loss)
    model.save(tmp_path / "m.keras")
    assert models.load(tmp_path).signature.inputs


def rewritten(path: Path, change: Callable[[Any], None]) -> None:
    """The archive with another configuration."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (parts | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, data)


HOSTILE: dict[str, dict[str, Any]] = {
    "module": {"module": "os", "class_name": "system", "config": "id", "registered_name": "system"},
    "function": {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function"},
    "lambda": {"class_name": "__lambda__", "config": {"value": "4wAAAAA="}},
    "file": {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_configuration_is_refused_unopened(tmp_path: Path, name: str) -> None:
    small().save(tmp_path / "m.keras")
    rewritten(tmp_path / "m.keras", lambda config: config["config"]["layers"].append(HOSTILE[name]))
    with pytest.raises(LoadError, match=r"m\.keras"):
        registry.choose(ModelDir.of(tmp_path))


def test_an_archive_that_explodes(tmp_path: Path) -> None:
    small().save(tmp_path / "m.keras")
    with (
        zipfile.ZipFile(tmp_path / "m.keras", "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros", "w") as file,
    ):
        for _ in range(300):
            file.write(bytes(1 << 20))
    with pytest.raises(LoadError, match="would unpack to"):
        registry.choose(ModelDir.of(tmp_path))


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_truncated_archive(tmp_path: Path, keep: float) -> None:
    small().save(tmp_path / "m.keras")
    whole = (tmp_path / "m.keras").read_bytes()
    (tmp_path / "m.keras").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(LoadError, match=r"m\.keras is (empty|truncated or damaged)"):
        registry.choose(ModelDir.of(tmp_path))


def test_weights_alone(tmp_path: Path) -> None:
    small().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(LoadError, match="holds weights without their model"):
        models.load(tmp_path)


def test_another_name_is_asked_for(tmp_path: Path) -> None:
    small().save(tmp_path / "m.keras")
    (tmp_path / "m.keras").rename(tmp_path / "m.zip")
    with pytest.raises(LoadError, match=r"give it a name that ends in \.keras"):
        registry.choose(ModelDir.of(tmp_path))
