"""SavedModels: what is served, as what, and that it answers what TensorFlow answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from adapters import registry
from adapters.base import Adapter, InvalidInput, LoadError, ModelDir
from adapters.tensorflow_ import TensorflowAdapter
from adapters.tensorflow_.types import DATATYPES
from tests.adapters.tensorflow_ import models

pytestmark = pytest.mark.slow  # TensorFlow alone takes seconds to import


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.everything(tmp_path_factory.mktemp("everything"))


@pytest.fixture(scope="module")
def adapter(folder: Path) -> Adapter:
    return models.load(folder)


CALLS = {
    "serving_default": {"x": np.linspace(-3, 3, 10, dtype=np.float32).reshape(5, 2)},
    "texts": {"text": np.array([b"abc", b"\xff\x00", "Zoë".encode()], dtype=np.object_)},
    "whole": {"matrix": np.array([[1.5, 2], [3, 4]], np.float32), "power": np.array(2)},
    "logs": {"x": np.array([0, 1, -1, 2], np.float32)},
    "distinct": {"x": np.array([3, 1, 3, 2], np.int32)},
    "centred": {"x": np.arange(6, dtype=np.float32).reshape(3, 2)},
    "bias_now": {},
}


@pytest.mark.parametrize("name", CALLS)
def test_every_signature_answers_as_its_function(adapter: Adapter, folder: Path, name: str) -> None:
    answers = adapter.predict(CALLS[name], {"signature_name": name})
    wanted = models.direct(folder, CALLS[name], name)
    assert answers.keys() == wanted.keys()
    for output, value in answers.items():
        assert value.dtype == wanted[output].dtype if value.dtype != np.object_ else True
        assert value.shape == wanted[output].shape
        np.testing.assert_array_equal(value, wanted[output])


def test_images_in_texts_are_answered(adapter: Adapter, folder: Path) -> None:
    inputs = {"image": np.array([models.png(10), models.png(200)], dtype=np.object_)}
    assert adapter.predict(inputs, {"signature_name": "pixels"})["mean"].tolist() == [10, 200]


def test_the_signatures_are_described(adapter: Adapter) -> None:
    signature = adapter.signature
    variants = signature.variants
    assert sorted(variants) == sorted([*CALLS, "pixels"])  # and not the one whose output is a bfloat16
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.inputs] == [("x", "FP32", (-1, 2))]
    assert [(spec.name, spec.datatype, spec.shape) for spec in signature.outputs] == [("y", "FP32", (-1, 2))]
    assert variants["serving_default"].inputs == signature.inputs
    assert {spec.name: spec.base64 for spec in variants["texts"].outputs}["raw_bytes"]
    assert {name for name, each in variants.items() if not each.batched} == {"whole", "distinct", "bias_now"}
    assert [(spec.name, spec.shape) for spec in variants["whole"].inputs] == [("matrix", (2, 2)), ("power", ())]


def test_rows_that_depend_on_each_other_are_not_merged(adapter: Adapter, tmp_path: Path) -> None:
    assert not adapter.traits.batchable  # for the signature `centred`
    assert models.load(models.half_plus_two(tmp_path / "1")).traits.batchable


def test_every_type_goes_through(tmp_path: Path) -> None:
    names = tuple(DATATYPES)
    adapter = models.load(models.every_dtype(tmp_path / "m", names))
    assert {spec.name: spec.datatype for spec in adapter.signature.inputs} == DATATYPES
    example = adapter.example()
    answers = adapter.predict(example, {})
    for name in names:
        assert answers[f"{name}_out"].dtype == example[name].dtype
        assert answers[f"{name}_out"].tolist() == example[name].tolist()


@pytest.mark.parametrize(("name", "unfit"), [("bfloat16", "bfloat16"), ("complex64", "complex64")])
def test_a_type_that_v2_lacks_is_named(tmp_path: Path, name: str, unfit: str) -> None:
    models.every_dtype(tmp_path / "m", (name,))
    with pytest.raises(LoadError, match=unfit):
        models.load(tmp_path / "m")


def test_shapes_of_unknown_rank(tmp_path: Path) -> None:
    """TensorFlow Serving's example."""
    adapter = models.load(models.half_plus_two(tmp_path / "123"))
    (x,), (y,) = adapter.signature.inputs, adapter.signature.outputs
    assert (x.shape, x.any_rank, y.shape) == ((-1,), True, (-1,))
    assert adapter.signature.batched
    for rows in (np.array([1, 2, 5], np.float32), np.ones((2, 3, 4), np.float32)):
        np.testing.assert_array_equal(adapter.predict({"x": rows}, {})["y"], rows * 0.5 + 2)


def test_a_folder_of_versions_is_not_a_model_itself(tmp_path: Path) -> None:
    for number in (2, 10):
        models.half_plus_two(tmp_path / str(number))
    assert TensorflowAdapter.match(ModelDir.of(tmp_path)) is None
    assert TensorflowAdapter.match(ModelDir.of(tmp_path / "10", tmp_path)) is not None


def test_a_vocabulary_comes_with_the_model(tmp_path: Path) -> None:
    folder = models.vocabulary(tmp_path / "m", tmp_path / "words.txt")
    (tmp_path / "words.txt").unlink()
    words = np.array([b"gamma", b"nothing", b"alpha"], dtype=np.object_)
    assert models.load(folder).predict({"word": words}, {})["id"].tolist() == [2, -1, 0]


def test_the_signature_option(folder: Path, tmp_path: Path) -> None:
    adapter = models.load(folder, signature="logs")
    assert [spec.name for spec in adapter.signature.inputs] == ["x"]
    assert adapter.predict({"x": np.ones(1, np.float32)}, {})["log"].tolist() == [0]
    with pytest.raises(LoadError, match="did you mean 'texts'"):
        models.load(folder, signature="text")
    with pytest.raises(LoadError, match=r"options\.inputs is for a frozen graph"):
        models.load(folder, inputs="x")


def test_a_model_without_a_default_names_its_signatures(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.f = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None], tf.float32)])
    models.save(tmp_path / "two", module, a=module.f, b=module.f)
    with pytest.raises(LoadError, match=r"signatures a, b.*options: \{signature: NAME\}"):
        models.load(tmp_path / "two")
    models.save(tmp_path / "one", module, only=module.f)
    assert models.load(tmp_path / "one").predict({"x": np.ones(2, np.float32)}, {})["y"].tolist() == [1, 1]
    models.save(tmp_path / "none", tf.Module())
    with pytest.raises(LoadError, match=r"no signature.*model.export"):
        models.load(tmp_path / "none")


def test_what_the_graph_refuses_is_the_clients_fault(adapter: Adapter) -> None:
    broken = {"image": np.array([b"no image"], dtype=np.object_)}
    with pytest.raises(InvalidInput, match="the model refuses the input") as error:
        adapter.predict(broken, {"signature_name": "pixels"})
    assert len(str(error.value)) < 400
    assert "\n" not in str(error.value)


def test_many_threads_get_their_own_answers(adapter: Adapter) -> None:
    def ask(number: int) -> bool:
        x = np.full((1 + number % 3, 2), number, np.float32)
        return bool((adapter.predict({"x": x}, {})["y"] == x + np.array([1, -1], np.float32)).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(800)))


def test_a_link_out_of_the_mount_is_not_followed(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    folder = models.half_plus_two(mount / "m" / "1")
    data = folder / "variables" / "variables.data-00000-of-00001"
    data.rename(tmp_path / "elsewhere")
    data.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LoadError, match="leads out of the models directory"):
        registry.choose(ModelDir.of(folder, mount))
    (folder / "variables").rename(tmp_path / "variables")
    (folder / "variables").symlink_to(tmp_path / "variables")
    with pytest.raises(LoadError, match="variables leads out of the models directory"):
        registry.choose(ModelDir.of(folder, mount))


def test_what_to_install_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models.half_plus_two(tmp_path / "1")
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LoadError, match="tensorflow is not installed: pip install tensorflow"):
        registry.choose(ModelDir.of(tmp_path / "1"))


def test_a_keras_model_whose_variables_tensorflow_loses_is_no_model(tmp_path: Path) -> None:
    """`tf.saved_model.save` of a Keras 3 model: TensorFlow Serving loads it, and then refuses every request."""
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="last")])
    tf.saved_model.save(model, str(tmp_path / "saved"))
    with pytest.raises(LoadError, match=r"variable '\S*last/\w+' is not restored.*write the folder with model\.export"):
        models.load(tmp_path / "saved")
    model.export(str(tmp_path / "exported"), verbose=False)
    exported = models.load(tmp_path / "exported")
    (spec,) = exported.signature.inputs
    (answer,) = exported.predict({spec.name: np.ones((1, 2), np.float32)}, {}).values()
    np.testing.assert_allclose(answer, model.predict(np.ones((1, 2)), verbose=0), rtol=1e-6)
