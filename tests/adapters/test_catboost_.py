"""CatBoost: every kind of model answers as CatBoost's own class does, and files that are none get their reason."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from adapters import catboost_, registry
from adapters.base import LoadError, ModelDir, Rank
from adapters.catboost_ import CatBoostAdapter
from server.codec import v1, v2
from server.errors import InvalidInput

catboost = pytest.importorskip("catboost")

RNG = np.random.default_rng(3)
ROWS = RNG.normal(size=(60, 3))
QUICK = {"iterations": 4, "thread_count": 1, "verbose": 0, "allow_writing_files": False}


def load(folder: Path, **options: Any) -> CatBoostAdapter:
    directory = ModelDir.of(folder)
    choice = registry.choose(directory)
    assert choice.adapter is CatBoostAdapter
    return CatBoostAdapter.load(directory, choice.match.file, options)


def classifier(labels: Any, **settings: Any) -> Any:
    return catboost.CatBoostClassifier(**QUICK, **settings).fit(ROWS, labels)


def regressor(loss: str, target: Any) -> Any:
    return catboost.CatBoostRegressor(loss_function=loss, **QUICK).fit(ROWS, target)


def ranker() -> Any:
    return catboost.CatBoostRanker(**QUICK).fit(ROWS, RNG.integers(0, 3, 60), group_id=np.repeat(range(12), 5))


MODELS: dict[str, Callable[[], Any]] = {
    "whole labels": lambda: classifier(RNG.integers(0, 2, 60)),
    "three texts": lambda: classifier(RNG.choice(["a", "b", "c"], 60)),
    "floats": lambda: classifier(RNG.integers(0, 2, 60) + 0.5),
    "truth": lambda: classifier(RNG.integers(0, 2, 60) > 0),
    "several labels": lambda: classifier(RNG.integers(0, 2, (60, 2)), loss_function="MultiLogloss"),
    "regression": lambda: regressor("RMSE", ROWS[:, 0]),
    "counts": lambda: regressor("Poisson", RNG.integers(0, 9, 60)),
    "uncertainty": lambda: regressor("RMSEWithUncertainty", ROWS[:, 0]),
    "two targets": lambda: regressor("MultiRMSE", ROWS[:, :2]),
    "ranking": ranker,
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("format_", ["cbm", "json"])
def test_every_kind_answers_as_its_own_class_does(name: str, format_: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    file = tmp_path / f"model.{format_}"
    model.save_model(file, format=format_)
    if format_ == "json":  # its decimals lose the last bits
        model.load_model(file, format="json")
    adapter = load(tmp_path)
    rows = ROWS[:7].astype(np.float32)
    wanted = model.predict(rows)
    answer = adapter.predict({"input-0": rows}, {})["output-0"]
    np.testing.assert_array_equal(answer, wanted)
    (output,) = adapter.signature.outputs
    assert (output.shape[1:], output.dtype) == (wanted.shape[1:], answer.dtype)
    others = {
        "leaf": model.calc_leaf_indexes(rows),
        "margin": catboost.CatBoost.predict(model, rows, prediction_type="RawFormulaVal"),
    }
    for method, answer in others.items():
        np.testing.assert_array_equal(adapter.predict({"input-0": rows}, {"method": method})["output-0"], answer)


def test_probabilities_by_option_and_by_request(tmp_path: Path) -> None:
    model = classifier(RNG.choice(["a", "b", "c"], 60))
    model.save_model(tmp_path / "model.cbm")
    rows = ROWS[:4].astype(np.float32)
    for options in ({"method": "predict_proba"}, {"predict_proba": True}):
        adapter = load(tmp_path, **options)
        np.testing.assert_array_equal(adapter.predict({"input-0": rows}, {})["output-0"], model.predict_proba(rows))
        assert adapter.signature.outputs[0].shape == (-1, 3)
    logs = adapter.predict({"input-0": rows}, {"method": "predict_log_proba"})["output-0"]
    np.testing.assert_array_equal(logs, model.predict_log_proba(rows))


def test_a_regressor_has_no_probabilities(tmp_path: Path) -> None:
    regressor("RMSE", ROWS[:, 0]).save_model(tmp_path / "model.cbm")
    with pytest.raises(LoadError, match="no classifier, so it has no method 'predict_proba'"):
        load(tmp_path, method="predict_proba")
    adapter = load(tmp_path, predict_proba=True)  # KServe's PREDICT_PROBA is for all models, and asks too much of some
    assert adapter.method == "predict"
    with pytest.raises(ValueError, match="it has predict, margin, leaf"):
        adapter.predict({"input-0": ROWS[:1].astype(np.float32)}, {"method": "predict_proba"})


def test_named_columns_come_in_any_order_and_numbers_may_be_missing(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(ROWS, columns=["a", "b", "c"])
    model = catboost.CatBoostRegressor(**QUICK).fit(frame, ROWS[:, 0])
    model.save_model(tmp_path / "model.cbm")
    adapter = load(tmp_path)
    body = {"instances": [{"c": 0.25, "a": None, "b": 1e9}]}
    call = v1.decode(orjson.dumps(body), adapter.signature)
    wanted = model.predict(pd.DataFrame([[np.nan, 1e9, 0.25]], columns=["a", "b", "c"]))
    assert adapter.predict(call.inputs, {})["output-0"].tolist() == wanted.tolist()


@pytest.fixture(scope="module")
def categories(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, list[list[Any]]]:
    """Trained on an array: the model knows its columns by their places, and categories that are numbers."""
    rows: list[list[Any]] = [[0.1 * i, "ab"[i % 2], i % 3 - 1] for i in range(40)]
    model = catboost.CatBoostClassifier(**QUICK).fit(rows, [i % 2 if i % 3 else 1 for i in range(40)], [1, 2])
    folder = tmp_path_factory.mktemp("categories")
    model.save_model(folder / "model.cbm")
    return folder, model, rows


def test_a_category_may_be_a_whole_number_or_its_text(categories: tuple[Path, Any, list[list[Any]]]) -> None:
    folder, model, rows = categories
    adapter = load(folder, method="predict_proba")
    wanted = model.predict_proba(rows).tolist()
    assert len({tuple(row) for row in wanted}) > 3
    for instances in (rows, [[a, b, str(c)] for a, b, c in rows], [{"2": c, "1": b, "0": a} for a, b, c in rows]):
        call = v1.decode(orjson.dumps({"instances": instances}), adapter.signature)
        assert adapter.predict(call.inputs, {})["output-0"].tolist() == wanted
    columns = zip(("FP64", "BYTES", "INT32"), zip(*rows, strict=True), strict=True)
    tensors = [
        {"name": str(index), "shape": [len(values)], "datatype": datatype, "data": values}
        for index, (datatype, values) in enumerate(columns)
    ]
    inputs = v2.decode(orjson.dumps({"inputs": tensors}), None, adapter.signature).inputs
    assert adapter.predict(inputs, {})["output-0"].tolist() == wanted


@pytest.mark.parametrize("category", [1.5, 2.0, None, True, ["a", "b"], {"a": 1}])
def test_other_values_are_no_categories(category: Any, categories: tuple[Path, Any, list[list[Any]]]) -> None:
    adapter = load(categories[0])
    with pytest.raises(InvalidInput, match=r"\.2.* is "):
        v1.decode(orjson.dumps({"instances": [[0.5, "a", category]]}), adapter.signature)


def test_calls_of_several_threads_do_not_disturb_each_other(categories: tuple[Path, Any, list[list[Any]]]) -> None:
    folder, model, rows = categories
    adapter = load(folder, method="predict_proba")
    calls = [v1.decode(orjson.dumps({"instances": [row]}), adapter.signature).inputs for row in rows]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda inputs: adapter.predict(inputs, {})["output-0"][0].tolist(), calls * 5))
    assert answers == model.predict_proba(rows).tolist() * 5


def of_vectors(folder: Path, *lengths: int) -> Any:
    """A model of a number and of an embedding feature of each length."""
    import pandas as pd

    random = np.random.default_rng(0)
    vectors = {f"vector{length}": list(random.normal(size=(len(ROWS), length))) for length in lengths}
    frame = pd.DataFrame({"x": ROWS[:, 0], **vectors})
    target = sum(np.stack(each)[:, 0] for each in vectors.values())
    model = catboost.CatBoostRegressor(**QUICK).fit(frame, target, embedding_features=list(vectors))
    model.save_model(folder / "model.cbm")
    return model, frame


def test_an_embedding_feature_is_a_vector_of_its_length(tmp_path: Path) -> None:
    model, frame = of_vectors(tmp_path, 3)
    adapter = load(tmp_path)
    assert [(spec.name, spec.shape) for spec in adapter.signature.inputs] == [("x", (-1,)), ("vector3", (-1, 3))]
    rows = [{"x": row.x, "vector3": row.vector3.tolist()} for row in frame.head(4).itertuples()]
    inputs = v1.decode(orjson.dumps({"instances": rows}), adapter.signature).inputs
    assert adapter.predict(inputs, {})["output-0"].tolist() == model.predict(frame.head(4)).tolist()
    # CatBoost answers a shorter vector by what lies behind it in memory, and crashes at an empty one.
    for vector in ([1.0, 2.0], [], [1.0] * 4):
        with pytest.raises(ValueError, match="vector3"):
            v1.decode(orjson.dumps({"instances": [{"x": 1.0, "vector3": vector}]}), adapter.signature)


def test_embedding_features_of_several_lengths_get_a_reason(tmp_path: Path) -> None:
    of_vectors(tmp_path, 2, 3)
    with pytest.raises(LoadError, match=r"embedding features of vectors of different lengths \(2, 3\)"):
        load(tmp_path)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda data: data[: len(data) // 2],
    "no length": lambda data: data[:4],
    "nothing behind the length": lambda data: data[:8],
    "one byte short": lambda data: data[:-1],
    "length zero": lambda data: b"CBM1" + bytes(99),
    "garbage": lambda data: b"CBM1" + bytes([50, 0, 0, 0]) + b"\xff" * 99,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_get_a_reason(name: str, tmp_path: Path) -> None:
    regressor("RMSE", ROWS[:, 0]).save_model(tmp_path / "model.cbm")
    (tmp_path / "model.cbm").write_bytes(DAMAGES[name]((tmp_path / "model.cbm").read_bytes()))
    with pytest.raises(LoadError, match=r"model\.cbm is damaged"):
        load(tmp_path)


def test_what_is_claimed(tmp_path: Path) -> None:
    def claim(**files: bytes) -> Any:
        folder = tmp_path / "-".join(files)
        folder.mkdir()
        for name, content in files.items():
            (folder / name.replace("_", ".")).write_bytes(content)
        return CatBoostAdapter.match(ModelDir.of(folder))

    assert claim(a_cbm=b"CBM1xxxx").file == "a.cbm"
    assert claim(b_bin=b"CBM1xxxx").rank is Rank.CONTENT
    assert "begin with CBM1" in claim(c_cbm=b"version https").problem
    assert claim(empty_cbm=b"").problem == "empty.cbm is empty"
    assert "c1.cbm and c2.cbm" in claim(c1_cbm=b"CBM1", c2_cbm=b"CBM1").problem
    assert claim(d_json=b'{"learner": {"attributes": {}}}') is None
    assert claim(e_json=b'{"features_info": "read me"}') is None
    assert claim(f=b"CBM1xxxx").file == "f"
    assert claim(h_json=b'{\n"features_info":\n{\n"cat_features_hash":\n[').file == "h.json"
    assert claim(g_txt=b"CBM2") is None


def test_what_each_prediction_would_read_anew_is_forgotten(tmp_path: Path) -> None:
    """All settings of the training, of which the loss function counts: answers are those of CatBoost's own class."""
    model = MODELS["counts"]()
    model.save_model(tmp_path / "model.cbm")
    adapter = load(tmp_path)
    left = orjson.loads(adapter.model.get_metadata()["params"])
    assert set(left) == {"loss_function", "data_processing_options"}
    assert len(model.get_metadata()["params"]) > 1000 > len(adapter.model.get_metadata()["params"])
    answer = adapter.predict({"input-0": ROWS.astype(np.float32)}, {})["output-0"]
    np.testing.assert_array_equal(answer, model.predict(ROWS.astype(np.float32)))


def test_settings_that_an_answer_depends_on_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MODELS["several labels"]().save_model(tmp_path / "model.cbm")
    whole = catboost.CatBoost().load_model(str(tmp_path / "model.cbm")).get_metadata()["params"]
    monkeypatch.setattr(catboost_, "_ANSWERS_NEED", ())  # the loss, which the classes need
    assert load(tmp_path).model.get_metadata()["params"] == whole


def test_calls_over_numbers_alone_are_steady(categories: tuple[Path, Any, list[list[Any]]], tmp_path: Path) -> None:
    MODELS["regression"]().save_model(tmp_path / "model.cbm")
    assert load(tmp_path).traits.steady
    assert not load(categories[0]).traits.steady
