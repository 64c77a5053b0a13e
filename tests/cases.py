"""One small real model per framework, with requests and what the framework itself answers to them.

The contract suite runs them against adapter and codec, the end-to-end tests against a whole server.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from adapters.base import Trust

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Expected:
    """The same rows for V1 and V2, and the framework's own answer to them."""

    instances: list[Any]
    tensors: Tensors
    predictions: list[Any]  #: JSON values, one a row
    #: V1 instances that must be refused with a 400
    bad: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Case:
    name: str
    adapter: str
    make: Callable[[Path], Expected]
    trust: Trust = Trust.SAFE  #: the level that its files need


def texts(*values: str) -> np.ndarray:
    return np.array(values, dtype=np.object_)


def sklearn_logistic(folder: Path) -> Expected:
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    joblib.dump(model, folder / "model.joblib")
    rows = X[::40]
    bad = [[[1.0, 2.0, 3.0]], [["a", 1, 2, 3]], [[None, 1, 2, 3]], [[[1, 2, 3, 4]]], [{"x": 1}]]
    return Expected(rows.tolist(), {"input-0": rows}, model.predict(rows).tolist(), bad)


def sklearn_frame(folder: Path) -> Expected:
    import joblib
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pd.DataFrame({"age": [31.0, 45, 23, 60, 35, 52], "city": ["Rome", "Oslo", "Rome", "Bern", "Oslo", "Bern"]})
    encode = make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), ["age"]))
    model = make_pipeline(encode, LogisticRegression()).fit(frame, ["no", "yes", "no", "yes", "no", "yes"])
    joblib.dump(model, folder / "model.joblib", compress=("gzip", 3))
    rows = frame.iloc[:4]
    tensors = {"age": rows["age"].to_numpy(), "city": texts(*rows["city"])}
    bad = [[{"age": 1.0}], [{"age": 1.0, "city": "Rome", "zip": 3}], [{"age": "old", "city": "Rome"}], [[1.0]]]
    bad.append([{"age": 30.0, "city": "Atlantis"}])
    instances: list[Any] = rows[["city", "age"]].to_dict("records")
    return Expected(instances, tensors, model.predict(rows).tolist(), bad)


def sklearn_text(folder: Path) -> Expected:
    import pickle

    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    documents = ["good movie", "great film", "bad movie", "awful film"]
    model = make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(documents, ["pos", "pos", "neg", "neg"])
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    rows = ["a great movie", "awful"]
    return Expected(rows, {"input-0": texts(*rows)}, model.predict(rows).tolist(), [[1.5], [None], [["a", "b"]]])


def xgboost_booster(folder: Path) -> Expected:
    import xgboost
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True)
    booster = xgboost.train({"max_depth": 3, "nthread": 1}, xgboost.DMatrix(X, y), 12)
    booster.save_model(folder / "model.ubj")
    rows = X[:5].astype(np.float32)
    answers = booster.predict(xgboost.DMatrix(rows)).astype(np.float64)
    return Expected(rows.astype(np.float64).tolist(), {"x": rows}, answers.tolist(), [[[1.0] * 9], [["a"] * 10], [[]]])


def lightgbm_booster(folder: Path) -> Expected:
    import lightgbm
    from sklearn.datasets import load_wine

    X, y = load_wine(return_X_y=True)
    settings = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(X, y), 8)
    booster.save_model(folder / "model.txt")
    answers = np.asarray(booster.predict(X[::50]))
    return Expected(X[::50].tolist(), {"x": X[::50]}, answers.tolist(), [[[1.0] * 12], [["a"] * 13]])


def onnx_two_inputs(folder: Path) -> Expected:
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    left = helper.make_tensor_value_info("left", TensorProto.FLOAT, ["n", 3])
    right = helper.make_tensor_value_info("right", TensorProto.FLOAT, ["n", 3])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("sum", "product")]
    nodes = [
        helper.make_node("Add", ["left", "right"], ["sum"]),
        helper.make_node("Mul", ["left", "right"], ["product"]),
    ]
    graph = helper.make_graph(nodes, "two", [left, right], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    b = np.float32(1.5) - a
    names = ["sum", "product"]
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    answers = session.run(names, {"left": a, "right": b})
    predictions = [
        dict(zip(names, [x.astype(np.float64).tolist() for x in row], strict=True))
        for row in zip(*answers, strict=True)
    ]
    instances = [{"left": x, "right": y} for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    bad = [[{"left": [1, 2, 3]}], [{"left": [1, 2, 3], "right": [1, 2]}], [[1, 2, 3]], [{"left": [1], "rigth": [1]}]]
    return Expected(instances, {"left": a, "right": b}, predictions, bad)


def spacy_rules(folder: Path) -> Expected:
    import spacy

    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(
        [{"label": "ORG", "pattern": "Apple"}, {"label": "GPE", "pattern": "U.K."}]
    )
    nlp.to_disk(folder)
    rows = ["Apple is in the U.K. now", "nothing here"]
    answers = [{"entities": [{"text": e.text, "label": e.label_} for e in nlp(row).ents]} for row in rows]
    assert answers[0]["entities"]
    return Expected([{"text": row} for row in rows], {"text": texts(*rows)}, answers, [[3], [{"txt": "a"}], [None]])


def bert_classifier(folder: Path) -> Expected:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    rows = ["a good day", "rain again and again"]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(rows, trainers.WordPieceTrainer(vocab_size=100, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **names)
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(fast), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, num_labels=3,
    )  # fmt: skip
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    with torch.no_grad():
        answers = [int(model(**fast(row, return_tensors="pt")).logits.argmax()) for row in rows]
    return Expected(list(rows), {"text": texts(*rows)}, answers, [[1], [None], [{"text": 4}]])


def catboost_mixed(folder: Path) -> Expected:
    import catboost
    import pandas as pd

    rows = range(40)
    frame = pd.DataFrame(
        {
            "age": [float(i % 7) for i in rows],
            "city": [("Rome", "Oslo", "Bern")[i % 3] for i in rows],
            "code": [i % 4 for i in rows],
            "note": [("a good day", "rain again", "good rain")[i * i % 3] for i in rows],
        }
    )
    labels = ["yes" if i % 3 == 0 or i % 4 == 1 else "no" for i in rows]
    model = catboost.CatBoostClassifier(8, thread_count=1, verbose=0, allow_writing_files=False)
    model.fit(frame, labels, cat_features=["city", "code"], text_features=["note"])
    model.save_model(folder / "model.cbm")
    some = frame.iloc[:5]
    tensors = {"age": some["age"].to_numpy(np.float32), "code": some["code"].to_numpy()}
    tensors |= {name: texts(*some[name]) for name in ("city", "note")}
    instances: list[Any] = some[["note", "code", "city", "age"]].to_dict("records")
    sound = instances[0]
    bad: list[Any] = [[{**sound, "city": None}], [{**sound, "code": 1.5}], [{**sound, "note": 3}], [[1.0]]]
    bad += [[{**sound, "age": "old"}], [{**sound, "zip": 3}], [{"age": 1.0}]]
    return Expected(instances, tensors, model.predict(some).tolist(), bad)


def skops_pipeline(folder: Path) -> Expected:
    import skops.io
    from sklearn.datasets import load_wine
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = load_wine(return_X_y=True)
    labels = np.array(["low", "middle", "high"])[y]
    model = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)).fit(X, labels)
    skops.io.dump(model, folder / "model.skops")
    rows = X[::40]
    bad = [[[1.0] * 12], [["a"] * 13], [[None] * 14]]
    return Expected(rows.tolist(), {"input-0": rows}, model.predict(rows).tolist(), bad)


def sentence_static(folder: Path) -> Expected:
    """Without a transformer, since a transformer's batches differ from single rows in the last bits."""
    from tests.adapters.sentence_transformers_.models import static

    rows = ["hello world", "my dog is cute", "paris"]
    answers = static(folder).encode(rows).astype(np.float64).tolist()
    return Expected(list(rows), {"text": texts(*rows)}, answers, [[1], [None], [{"text": 4}]])


def tensorflow_signatures(folder: Path) -> Expected:
    """A SavedModel with two signatures of several outputs.

    Its numbers are quarters: products of matrices round otherwise in a batch than alone.
    """
    import tensorflow as tf

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable([[1.5], [-2.0], [0.25]])

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32), tf.TensorSpec([None], tf.string)])
        def score(self, x: Any, name: Any) -> Any:
            label = tf.strings.join([name, "!"])
            return {"score": tf.nn.relu(x @ self.weights)[:, 0], "label": label, "sum": tf.reduce_sum(x, 1)}

        @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32)])
        def double(self, x: Any) -> Any:
            return {"doubled": 2 * x}

    module = Module()
    signatures = {"serving_default": module.score, "double": module.double}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    score = tf.saved_model.load(str(folder)).signatures["serving_default"]
    x = np.arange(-5, 7, dtype=np.float32).reshape(4, 3) / 4
    names = ["Anna", "Bo", "", "Zoë"]
    answers = {key: value.numpy() for key, value in score(x=tf.constant(x), name=tf.constant(names)).items()}
    predictions = [
        {"score": float(score), "label": label.decode(), "sum": float(total)}
        for score, label, total in zip(answers["score"], answers["label"], answers["sum"], strict=True)
    ]
    instances: list[Any] = [{"x": row, "name": name} for row, name in zip(x.tolist(), names, strict=True)]
    bad = [[{"x": [1, 2]}], [{"x": [1, 2], "name": "a"}], [{"x": [1, 2, 3], "name": 4}], [[1, 2, 3]]]
    return Expected(instances, {"x": x, "name": texts(*names)}, predictions, bad)


def tensorflow_frozen(folder: Path) -> Expected:
    import tensorflow as tf

    x = np.arange(-5.0, 5.0).reshape(5, 2) / 4
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        taken = tf.compat.v1.placeholder(tf.float64, [None, 2], "x")
        tf.identity(tf.square(taken) @ tf.constant([[1.0, 2.0], [3.0, 4.0]], tf.float64), "y")
        (folder / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
        answers = session.run("y:0", {"x:0": x})
    return Expected(x.tolist(), {"x": x}, answers.tolist(), [[[1.0]], [["a", "b"]], [{"y": [1, 2]}]])


def keras_network(folder: Path) -> Expected:
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.Input((4,), name="x"), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(3)]
    model = keras.Sequential(layers)
    model.set_weights([np.round(weights * 8) / 8 for weights in model.get_weights()])
    model.save(folder / "model.keras")
    rows = np.arange(-5, 7, dtype=np.float32).reshape(3, 4) / 4
    answers = model.predict(rows, verbose=0)
    return Expected(rows.astype(np.float64).tolist(), {"x": rows}, answers.astype(np.float64).tolist(), [[[1.0]], [3]])


def mlflow_python(folder: Path) -> Expected:
    import cloudpickle
    import mlflow.pyfunc
    import pandas as pd
    from mlflow.models import infer_signature

    from tests.adapters.mlflow_ import models

    shop = models.Shop()
    frame = pd.DataFrame({"price": [1.5, 20.0, 3.25], "count": [2, 1, 4], "city": ["Rome", "Oslo", "Bern"]})
    signature = infer_signature(frame, shop.predict(None, frame))
    cloudpickle.register_pickle_by_value(models)  # as a class from a notebook: the server's worker has no `tests`
    mlflow.pyfunc.save_model(folder / "kept", python_model=shop, signature=signature, pip_requirements=["pandas"])
    cloudpickle.unregister_pickle_by_value(models)
    for path in (folder / "kept").iterdir():
        path.rename(folder / path.name)
    (folder / "kept").rmdir()
    answers: Any = mlflow.pyfunc.load_model(str(folder)).predict(frame)
    tensors = {name: frame[name].to_numpy() for name in ("price", "count")} | {"city": texts(*frame["city"])}
    instances: list[Any] = frame[["city", "count", "price"]].to_dict("records")
    sound = instances[0]
    bad: list[Any] = [
        [{**sound, "count": 1.5}],
        [{**sound, "city": 3}],
        [{"price": 1.0}],
        [[1.0]],
    ]
    return Expected(instances, tensors, answers.to_dict("records"), bad)


def mlflow_spacy(folder: Path) -> Expected:
    """A flavor that another adapter serves, in a folder below."""
    expected = spacy_rules(folder / "model.spacy")
    (folder / "MLmodel").write_text("flavors:\n  spacy:\n    code: null\n    data: model.spacy\n")
    return expected


def torch_script(folder: Path) -> Expected:
    import warnings

    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)).eval()
    for parameter in model.parameters():  # quarters: sums of these are exact in any order, for any number of rows
        parameter.data = (parameter.data * 4).round() / 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript itself, which is here to stay
        torch.jit.script(model).save(folder / "model.pt")
    rows = np.arange(-10, 10, dtype=np.float32).reshape(5, 4) / 4
    with torch.inference_mode():
        answers = model(torch.from_numpy(rows)).numpy()
    return Expected(
        rows.astype(np.float64).tolist(), {"input": rows}, answers.astype(np.float64).tolist(), [[[1.0] * 3], ["a"]]
    )


def torch_exported(folder: Path) -> Expected:
    import torch

    class Pairs(torch.nn.Module):
        def forward(self, ids: Any, weights: Any) -> Any:
            return {"sum": (ids * weights).sum(1), "largest": ids.amax(1)}

    shapes = {name: {0: torch.export.Dim("rows")} for name in ("ids", "weights")}
    example = (torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 3))
    torch.export.save(torch.export.export(Pairs(), example, dynamic_shapes=shapes), folder / "model.pt2")
    ids = np.arange(12, dtype=np.int64).reshape(4, 3)
    weights = np.full((4, 3), 0.5, dtype=np.float32)
    instances = [{"ids": i, "weights": w} for i, w in zip(ids.tolist(), weights.tolist(), strict=True)]
    answers = [{"sum": float(row.sum() / 2), "largest": int(row.max())} for row in ids]
    bad = [[{"ids": [1, 2, 3]}], [{"ids": [1.5, 2, 3], "weights": [1, 1, 1]}], [{"ids": [1], "weights": [1, 1, 1]}]]
    return Expected(instances, {"ids": ids, "weights": weights}, answers, bad)


CASES = [
    Case("sklearn-logistic", "sklearn", sklearn_logistic, Trust.PICKLE),
    Case("sklearn-frame", "sklearn", sklearn_frame, Trust.PICKLE),
    Case("sklearn-text", "sklearn", sklearn_text, Trust.PICKLE),
    Case("xgboost-booster", "xgboost", xgboost_booster),
    Case("lightgbm-booster", "lightgbm", lightgbm_booster),
    Case("onnx-two-inputs", "onnx", onnx_two_inputs),
    Case("spacy-rules", "spacy", spacy_rules),
    Case("bert-classifier", "huggingface", bert_classifier),
    Case("tensorflow-signatures", "tensorflow", tensorflow_signatures),
    Case("tensorflow-frozen", "tensorflow", tensorflow_frozen),
    Case("keras-network", "tensorflow", keras_network),
    Case("sentence-static", "sentence_transformers", sentence_static),
    Case("catboost-mixed", "catboost", catboost_mixed),
    Case("skops-pipeline", "skops", skops_pipeline),
    Case("torch-script", "torch", torch_script),
    Case("torch-exported", "torch", torch_exported, Trust.PICKLE),
    Case("mlflow-python", "mlflow", mlflow_python, Trust.CODE),
    Case("mlflow-spacy", "spacy", mlflow_spacy),
]


def plain(value: Any) -> Any:
    """As it looks after a way through JSON."""
    return json.loads(json.dumps(value))
