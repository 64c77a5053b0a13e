"""skops files: estimators answer as they did before they were saved, and files that name or do more are refused."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from adapters import registry
from adapters.base import LoadError, ModelDir, Trust
from adapters.skops_ import SkopsAdapter

sio = pytest.importorskip("skops.io")

X, Y = load_iris(return_X_y=True)


def _logistic() -> Any:
    return LogisticRegression(max_iter=1000)


def _xgboost() -> Any:
    import xgboost

    return xgboost.XGBClassifier(n_estimators=3, n_jobs=1)


def _lightgbm() -> Any:
    import lightgbm

    return lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1)


MODELS: dict[str, Callable[[], Any]] = {
    "forest": lambda: RandomForestClassifier(5),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=3),
    "histogram boosting": lambda: HistGradientBoostingClassifier(max_iter=3),
    "AdaBoost": lambda: AdaBoostClassifier(n_estimators=3),
    "neighbours": KNeighborsClassifier,
    "support vectors": SVC,
    "SGD": SGDClassifier,
    "a function": lambda: make_pipeline(FunctionTransformer(np.nan_to_num), StandardScaler(), _logistic()),
    "search": lambda: GridSearchCV(_logistic(), {"C": [1, 2]}, cv=2),
    "stack": lambda: StackingClassifier([("forest", RandomForestClassifier(3)), ("line", _logistic())], cv=2),
    "XGBoost": _xgboost,
    "LightGBM": _lightgbm,
    "XGBoost in a pipeline": lambda: make_pipeline(StandardScaler(), _xgboost()),
}


def load(folder: Path, trusted: bool = False, **options: Any) -> SkopsAdapter:
    directory = ModelDir(folder, folder, trusted)
    choice = registry.choose(directory)
    assert choice.adapter is SkopsAdapter
    return SkopsAdapter.load(directory, choice.match.file, options)


@pytest.mark.parametrize("name", MODELS)
def test_estimators_answer_as_before(name: str, tmp_path: Path) -> None:
    model = MODELS[name]().fit(X, Y)
    sio.dump(model, tmp_path / "model.skops")
    adapter = load(tmp_path)
    rows = X[::10]
    np.testing.assert_array_equal(adapter.predict({"input-0": rows}, {})["output-0"], model.predict(rows))
    if hasattr(model, "predict_proba"):
        answer = adapter.predict({"input-0": rows}, {"method": "predict_proba"})["output-0"]
        np.testing.assert_array_equal(answer, model.predict_proba(rows))


def test_a_frame_of_texts_and_numbers(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"]).assign(e=np.where(Y > 0, "u", "v"))
    columns = make_column_transformer(
        (OneHotEncoder(), ["e"]), (StandardScaler(), make_column_selector(dtype_include=float))
    )
    model = make_pipeline(columns, _logistic()).fit(frame, np.array(["x", "y", "z"])[Y])
    sio.dump(model, tmp_path / "model.skops")
    claim = SkopsAdapter.match(ModelDir.of(tmp_path))
    assert claim is not None
    assert (claim.requires, claim.trust, claim.problem) == (("pandas",), Trust.SAFE, "")
    adapter = load(tmp_path)
    assert {spec.name: spec.datatype for spec in adapter.signature.inputs}["e"] == "BYTES"
    rows = {name: frame[name].to_numpy() for name in frame}
    assert adapter.predict(rows, {})["output-0"].tolist() == model.predict(frame).tolist()


def test_a_vocabulary_may_hold_any_word(tmp_path: Path) -> None:
    documents = ["__init__ of a class", "rain again", "__array_interface__ is long", "more rain"]
    vectorizer = TfidfVectorizer(token_pattern=r"\S+")
    model = make_pipeline(vectorizer, MultinomialNB()).fit(documents, ["code", "rain"] * 2)
    sio.dump(model, tmp_path / "model.skops")
    answer = load(tmp_path).predict({"input-0": np.array(documents, np.object_)}, {})["output-0"]
    assert answer.tolist() == ["code", "rain"] * 2


class Own(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator of nobody's library."""

    def fit(self, rows: Any, labels: Any) -> Own:
        self.n_features_in_ = rows.shape[1]
        return self

    def predict(self, rows: Any) -> Any:
        return np.asarray(rows)[:, 0] * 2


def test_an_unknown_class_is_refused_by_name_unless_it_is_trusted(tmp_path: Path) -> None:
    sio.dump(Own().fit(X, Y), tmp_path / "model.skops")
    with pytest.raises(LoadError, match=r"model\.skops names .*test_adapter\.Own, which is not a class of a known"):
        load(tmp_path)
    claim = SkopsAdapter.match(ModelDir(tmp_path, tmp_path, trusted=True))
    assert claim is not None
    assert claim.trust is Trust.CODE
    adapter = load(tmp_path, trusted=True)
    assert adapter.predict({"input-0": X[:3]}, {})["output-0"].tolist() == (X[:3, 0] * 2).tolist()


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Save the file again with another schema."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(entries["schema.json"])
    change(schema)
    entries["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def json_node(value: Any) -> dict[str, Any]:
    content = json.dumps(value)
    return {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": content, "is_json": True}


def node(loader: str, dotted: str, **more: Any) -> dict[str, Any]:
    module, _, name = dotted.rpartition(".")
    return {"__class__": name, "__module__": module, "__loader__": loader, **more}


def arguments(*values: Any) -> dict[str, Any]:
    return node("TupleNode", "builtins.tuple", content=[json_node(value) for value in values])


def dict_of(**values: Any) -> dict[str, Any]:
    types = node("ListNode", "builtins.list", content=[node("TypeNode", "builtins.str") for _ in values])
    return node("DictNode", "builtins.dict", content=values, key_types=types)


def extra(value: dict[str, Any], name: str = "extra") -> Callable[[dict[str, Any]], Any]:
    """An attribute more for the estimator."""

    def change(schema: dict[str, Any]) -> None:
        schema["content"]["content"][name] = value
        schema["content"]["key_types"]["content"].append(node("TypeNode", "builtins.str"))

    return change


MARK = "touch hostile"
BOOSTER = "xgboost.core.Booster"
CALLS = node("TypeNode", BOOSTER)
ATTACKS: dict[str, tuple[dict[str, Any], str]] = {
    "a function": (node("FunctionNode", "os.system"), "names os.system"),
    "a function held": (node("TypeNode", "os.system"), "names os.system"),
    "a constructor": (node("ConstructorFromReduceNode", "os.system", content=arguments(MARK)), "names os.system"),
    "a known constructor": (node("ConstructorFromReduceNode", BOOSTER, content=arguments(MARK)), f"names {BOOSTER}"),
    "both ways": (
        dict_of(
            one=node("ObjectNode", BOOSTER),
            two=node("ConstructorFromReduceNode", BOOSTER, content=arguments(MARK)),
        ),
        f"names {BOOSTER}",
    ),
    "a loss": (node("LossNode", BOOSTER, __reduce__={"args": arguments(MARK)}, content=dict_of()), f"names {BOOSTER}"),
    "keys' types": (
        node("DictNode", "builtins.dict", content={MARK: json_node(1)},
             key_types=node("ListNode", "builtins.list", content=[node("TypeNode", BOOSTER)])),
        f"names {BOOSTER}",
    ),
    "partial": (
        node("PartialNode", "functools.partial", content={
            "func": node("FunctionNode", "numpy.exp"), "args": arguments(1), "kwds": dict_of(),
            "namespace": json_node(None)}),
        "names functools.partial",
    ),
    "a method": (
        node("MethodNode", "sklearn.svm._classes.SVC", content={
            "func": "__init__", "obj": node("ObjectNode", "sklearn.svm._classes.SVC")}),
        "sklearn.svm._classes.SVC.__init__",
    ),
    "an operator": (node("OperatorFuncNode", "operator.methodcaller", attrs=arguments("x")), "operator.methodcaller"),
    "a distribution": (node("ObjectNode", "scipy.stats._continuous_distns.norm_gen"), "norm_gen"),
    "memory": (
        node("ObjectNode", "sklearn.svm._classes.SVC",
             content=dict_of(__array_interface__=json_node({"data": [4096, False], "version": 3}))),
        "sets the reserved attribute __array_interface__",
    ),
    "memory by reference": (
        dict_of(
            a={**dict_of(data=json_node(3)), "__id__": 77},
            b=node("ObjectNode", "sklearn.svm._classes.SVC",
                   content=dict_of(__array_interface__={**json_node(3), "__id__": 77})),
        ),
        "sets the reserved attribute __array_interface__",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def logistic(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("logistic") / "model.skops"
    sio.dump(_logistic().fit(X, Y), file)
    return file.read_bytes()


@pytest.mark.parametrize("name", ATTACKS)
def test_what_no_library_writes_is_refused(
    name: str, logistic: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, reason = ATTACKS[name]
    (tmp_path / "model.skops").write_bytes(logistic)
    rewrite(tmp_path / "model.skops", extra(value))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LoadError) as error:
        load(tmp_path)
    assert reason in str(error.value)
    assert str(error.value).startswith("model.skops ")
    assert not (tmp_path / "hostile").exists()


def test_another_attribute_is_welcome(logistic: bytes, tmp_path: Path) -> None:
    """The attacks above fail for what they are, not for being there."""
    (tmp_path / "model.skops").write_bytes(logistic)
    rewrite(tmp_path / "model.skops", extra(dict_of(a=json_node(1), b=node("FunctionNode", "numpy.exp"))))
    assert load(tmp_path).predict({"input-0": X[:2]}, {})["output-0"].tolist() == [0, 0]


def bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("1.npy", bytes(300_000_000))
        archive.writestr("schema.json", "{}")


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "no skops file, or a damaged one"),
    "no zip": (lambda path: path.write_bytes(b"PK nothing"), "no skops file, or a damaged one"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-30]), "no skops file, or a damaged one"),
    "an array cut": (lambda path: rewrite_entry(path, ".npy", b"\x93NUMPY"), "model.skops cannot be loaded"),
    "no schema": (lambda path: zipfile.ZipFile(path, "w").close(), "no item named 'schema.json'"),
    "schema of nothing": (lambda path: rewrite_entry(path, "schema.json", b"[]"), "describes no object"),
    "schema deep": (lambda path: rewrite_entry(path, "schema.json", b"[" * 100_000), "damaged one"),
    "schema of later days": (lambda path: rewrite(path, lambda s: s.update(protocol=9999)), "only supports protocols"),
    "bomb": (bomb, "would unpack to 300000002 bytes"),
}


def rewrite_entry(path: Path, suffix: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, old in entries.items():
            archive.writestr(name, content if name.endswith(suffix) else old)


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_get_a_reason(name: str, logistic: bytes, tmp_path: Path) -> None:
    damage, reason = DAMAGES[name]
    (tmp_path / "model.skops").write_bytes(logistic)
    damage(tmp_path / "model.skops")
    with pytest.raises(LoadError) as error:
        load(tmp_path)
    assert reason in str(error.value)


def test_two_files_are_ambiguous(logistic: bytes, tmp_path: Path) -> None:
    for name in ("a.skops", "b.skops"):
        (tmp_path / name).write_bytes(logistic)
    with pytest.raises(LoadError, match=r"a\.skops and b\.skops; keep one"):
        load(tmp_path)


def test_something_that_cannot_predict_gets_a_reason(tmp_path: Path) -> None:
    sio.dump({"a": 1}, tmp_path / "model.skops")
    with pytest.raises(LoadError, match="holds a dict, which has no method that answers"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["pandas.core.arrays.categorical.Categorical", "sklearn.tree._criterion.Gini"])
def test_native_classes_are_not_made_without_what_belongs_into_them(name: str, logistic: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.skops").write_bytes(logistic)
    rewrite(tmp_path / "model.skops", extra(node("ObjectNode", name, content=None)))
    with pytest.raises(LoadError, match=r"^model\.skops makes a .* without what belongs into it"):
        load(tmp_path)


def test_a_random_generator_reads_its_own_numbers(tmp_path: Path) -> None:
    model = _logistic().fit(X, Y)
    model.random_state = np.random.RandomState(0)
    model.random_state.set_state(("MT19937", model.random_state.get_state()[1], 10**9))
    sio.dump(model, tmp_path / "model.skops")
    with pytest.raises(LoadError, match="numbers that it does not have"):
        load(tmp_path)


def test_a_class_of_arrays_is_no_function(tmp_path: Path) -> None:
    """`numpy.ndarray` makes arrays of objects of plain bytes, if a pipeline's step calls it."""
    sio.dump(
        make_pipeline(FunctionTransformer(np.ndarray, kw_args={"dtype": "O"}), _logistic()), tmp_path / "model.skops"
    )
    with pytest.raises(LoadError, match=r"numpy\.ndarray"):
        load(tmp_path)
