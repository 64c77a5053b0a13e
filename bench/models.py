"""The models that every system serves, and the rows that they are asked about. Seeds are fixed; no network.

A model's `make` and `data` import its framework; they run in a child process of their own (making.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from examples import bert_sentiment, news, spacy_ner, tabular

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

SEED = 0
TEXTS = 64


@dataclass(frozen=True)
class BenchModel:
    """One model of the comparison."""

    make: Callable[[Path], None]  #: writes its files into an empty folder
    data: Callable[[], Array]  #: rows to ask about: numbers [n, features] or texts [n]
    file: str  #: the model's file in its folder; "" for the folder itself
    versions: tuple[str, ...]  #: distributions that decide what the files and the answers are


def rows(data: Array, count: int) -> Array:
    """`count` rows of `data`, in an order of their own (data sets are sorted by class), over and over."""
    order = np.random.default_rng(SEED).permutation(len(data))
    return data[order[np.arange(count) % len(data)]]


def _iris() -> Array:
    from sklearn.datasets import load_iris

    return np.asarray(load_iris().data)


def _cells() -> Array:
    from sklearn.datasets import load_breast_cancer

    return np.asarray(load_breast_cancer().data)


def _patients() -> Array:
    from sklearn.datasets import load_diabetes

    return np.asarray(load_diabetes().data)


def _pixels() -> Array:
    from sklearn.datasets import load_digits

    return np.asarray(load_digits().data, dtype=np.float32)


def _wide() -> Array:
    return np.random.default_rng(SEED).normal(size=(1024, 100))


def _news() -> Array:
    return np.array([text for text, _ in news.sentences(TEXTS, SEED)], dtype=np.object_)


def _reviews() -> Array:
    return np.array(bert_sentiment.reviews(TEXTS, SEED)[0], dtype=np.object_)


def _logistic(folder: Path) -> None:
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    joblib.dump(LogisticRegression(max_iter=1000).fit(*load_iris(return_X_y=True)), folder / "model.joblib")


def _logistic_wide(folder: Path) -> None:
    import joblib
    from sklearn.linear_model import LogisticRegression

    data = _wide()
    joblib.dump(LogisticRegression().fit(data, np.where(data[:, 0] > data[:, 1], 1, 0)), folder / "model.joblib")


def _xgboost(folder: Path) -> None:
    import xgboost
    from sklearn.datasets import load_diabetes

    settings = {"max_depth": 6, "eta": 0.1, "nthread": 1, "seed": SEED}
    xgboost.train(settings, xgboost.DMatrix(*load_diabetes(return_X_y=True)), 100).save_model(folder / "model.ubj")


def _lightgbm(folder: Path) -> None:
    import lightgbm
    from sklearn.datasets import load_diabetes

    settings = {"num_leaves": 31, "num_threads": 1, "seed": SEED, "deterministic": True, "verbose": -1}
    lightgbm.train(settings, lightgbm.Dataset(*load_diabetes(return_X_y=True)), 100).save_model(folder / "model.txt")


def _onnx(folder: Path) -> None:
    """A network of 64 x 128 x 10 with random weights and one output, the probabilities of ten classes."""
    from onnx import TensorProto, helper, numpy_helper, save

    random = np.random.default_rng(SEED)
    weights = {
        "w1": random.normal(0, 0.02, (64, 128)),
        "b1": random.normal(0, 0.2, (128,)),
        "w2": random.normal(0, 0.2, (128, 10)),
        "b2": random.normal(0, 0.2, (10,)),
    }
    nodes = [
        helper.make_node("Gemm", ["input-0", "w1", "b1"], ["sums"]),
        helper.make_node("Relu", ["sums"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "w2", "b2"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["output-0"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("input-0", TensorProto.FLOAT, ["n", 64])],
        [helper.make_tensor_value_info("output-0", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "model.onnx")


def _bert(folder: Path) -> None:
    """The example's tokenizer with an untrained network of BERT-tiny's size: 2 layers, 128 wide."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    bert_sentiment.make(folder)
    torch.manual_seed(SEED)
    small = BertConfig.from_pretrained(folder)
    small.update({"hidden_size": 128, "intermediate_size": 512, "initializer_range": 0.2})
    network = BertForSequenceClassification(small).eval()
    with torch.no_grad():  # both labels occur: half of the texts each
        logits = network(
            **AutoTokenizer.from_pretrained(folder)(list(_reviews()), padding=True, return_tensors="pt")
        ).logits
        network.classifier.bias[0] += (logits[:, 1] - logits[:, 0]).median()
    network.save_pretrained(folder)


_SKLEARN = ("scikit-learn", "numpy")

MODELS: dict[str, BenchModel] = {
    "logistic": BenchModel(_logistic, _iris, "model.joblib", _SKLEARN),
    "forest": BenchModel(tabular.sklearn_forest, _cells, "model.joblib", _SKLEARN),
    "xgboost": BenchModel(_xgboost, _patients, "model.ubj", ("xgboost", *_SKLEARN)),
    "lightgbm": BenchModel(_lightgbm, _patients, "model.txt", ("lightgbm", *_SKLEARN)),
    "onnx": BenchModel(_onnx, _pixels, "model.onnx", ("onnx", "onnxruntime", *_SKLEARN)),
    "spacy": BenchModel(spacy_ner.make, _news, "", ("spacy", "thinc", "numpy")),
    "bert": BenchModel(_bert, _reviews, "", ("torch", "transformers", "tokenizers")),
    "wide": BenchModel(_logistic_wide, _wide, "model.joblib", _SKLEARN),
}
