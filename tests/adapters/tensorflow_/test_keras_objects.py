"""The list of what Keras files may be built of, against Keras itself and against configurations made to get past it."""

from __future__ import annotations

import inspect
import json
import random
from typing import Any

import pytest

from adapters.tensorflow_ import keras_
from adapters.tensorflow_.keras_objects import FUNCTIONS, LAYERS, OPERATIONS, PARTS, TRAINING, VALUES

#: what no model may be built of: module and class
FORBIDDEN = (
    ("keras.utils", "get_file"),
    ("keras.src.utils.file_utils", "get_file"),
    ("keras.saving", "load_model"),
    ("keras.models", "load_model"),
    ("keras.config", "enable_unsafe_deserialization"),
    ("keras.layers", "Lambda"),
    ("keras.src.layers.core.lambda_layer", "Lambda"),
    ("keras.layers", "TFSMLayer"),
    ("keras.layers", "TorchModuleWrapper"),
    ("keras.layers", "JaxLayer"),
    ("keras.layers", "FlaxLayer"),
    ("keras.utils", "FeatureSpace"),
    ("keras.callbacks", "LambdaCallback"),
    ("keras.callbacks", "BackupAndRestore"),
    ("keras.src.utils.python_utils", "func_load"),
    ("keras.src.saving.serialization_lib", "deserialize_keras_object"),
    ("keras.utils", "Dense"),
    ("keras.src.backend.tensorflow.trackable", "Dense"),
    ("keras_hub.layers", "Dense"),
    ("kerasx.layers", "Dense"),
    ("os", "system"),
    ("builtins", "eval"),
    ("builtins", "__lambda__"),
    ("builtins", ["__tuple__"]),
    (["keras.layers"], "Dense"),
    ("subprocess", "Popen"),
    (None, "Lambda"),
    (None, "TFOpLambda"),
    (None, "Unheard"),
    (None, ["Dense"]),
    (None, {"Dense": 1}),
    (None, None),
)
HARMLESS = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 2}, "registered_name": None}


def small() -> dict[str, Any]:
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {"name": "m", "layers": [dict(HARMLESS), dict(HARMLESS)]},
        "registered_name": "Functional",
    }


def hidden(rng: random.Random, item: Any, depth: int) -> Any:
    """The object somewhere inside others, as Keras nests them."""
    for _ in range(depth):
        layer = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 2}, "registered_name": None}
        match rng.randrange(8):
            case 0:
                item = {**layer, "class_name": "TimeDistributed", "config": {"layer": item}}
            case 1:
                item = {**layer, "class_name": "Bidirectional", "config": {"layer": HARMLESS, "backward_layer": item}}
            case 2:
                item = {
                    **layer,
                    "config": {"units": 2, rng.choice(["activation", "kernel_initializer", "dtype"]): item},
                }
            case 3:
                item = {**small(), "config": {"layers": [HARMLESS, item]}}
            case 4:
                item = {**layer, "inbound_nodes": [{"args": [[item]], "kwargs": {}}]}
            case 5:
                item = {**layer, "inbound_nodes": [{"args": [], "kwargs": {"mask": item}}]}
            case 6:
                item = {**layer, rng.choice(["build_config", "compile_config"]): {"x": item}}
            case _:
                item = {"class_name": "__tuple__", "config": [item], "items": [item]}
    return item


@pytest.mark.parametrize("seed", range(40))
def test_what_is_not_known_is_found_wherever_it_is(seed: int) -> None:
    rng = random.Random(seed)
    for module, name in FORBIDDEN:
        bad = {"module": module, "class_name": name, "config": {}, "registered_name": rng.choice([None, name])}
        if module is None:
            del bad["module"]
        model = small()
        model["config"]["layers"].insert(rng.randrange(3), hidden(rng, bad, rng.randrange(6)))
        assert keras_._config_problem(json.dumps(model)), model
    for name in ("exec", "os.system", "get_file", "load_model", "deserialize", "get", ["relu"], {"relu": 1}, None):
        bad = {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}
        model["config"]["layers"][0] = hidden(rng, bad, rng.randrange(6))
        assert keras_._config_problem(json.dumps(model)), model


@pytest.mark.parametrize("seed", range(40))
def test_what_is_known_passes_wherever_it_is(seed: int) -> None:
    rng = random.Random(seed)
    for name in sorted(LAYERS | OPERATIONS | PARTS | VALUES):
        model = small()
        model["config"]["layers"].append(hidden(rng, {**HARMLESS, "class_name": name, "config": {}}, rng.randrange(6)))
        assert not keras_._config_problem(json.dumps(model)), model


def is_optimizer(name: str) -> bool:
    import keras

    return hasattr(keras.optimizers, name) or hasattr(keras.optimizers.schedules, name)


@pytest.mark.slow
def test_the_list_is_what_this_keras_has() -> None:
    """A layer that Keras has got and the list has not is either read and added, or named here as left out."""
    import keras

    left_out = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "Layer", "Wrapper", "InputSpec"}
    layers = {name for name in dir(keras.layers) if inspect.isclass(getattr(keras.layers, name))}
    assert layers - left_out == LAYERS - {"Functional", "Model", "Sequential"}
    assert {name for name in FUNCTIONS if not hasattr(keras.activations, name)} <= {
        *dir(keras.losses),
        *dir(keras.metrics),
    }
    assert all(hasattr(keras.losses, name) or hasattr(keras.metrics, name) or is_optimizer(name) for name in TRAINING)


@pytest.mark.slow
def test_models_of_many_layers_are_served_as_before() -> None:
    import keras

    for name in ("MobileNetV2", "EfficientNetV2B0", "DenseNet121"):
        model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=3)
        model.compile(optimizer="adam", loss="mse", metrics=["accuracy"])
        outer = keras.Sequential([keras.Input((64, 64, 3)), model, keras.layers.Softmax()])
        outer.compile(optimizer=keras.optimizers.Adam(1e-3), loss=keras.losses.CategoricalCrossentropy())
        assert not keras_._config_problem(json.dumps(keras.saving.serialize_keras_object(outer)))
