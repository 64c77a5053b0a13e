"""Models as KServe's end-to-end tests serve them, made on the spot: their formats, their columns, their requests.

Each function saves one and returns what the framework itself answers to the request that KServe's tests send to it.
"""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.datasets import load_iris, load_wine

IRIS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]
SEPALS = {"sepal_length_(cm)": 5.1, "sepal_width_(cm)": 3.5, "petal_length_(cm)": 1.4, "petal_width_(cm)": 0.2}
NEWS = "Do what thou wilt shall be the whole of the Law. [Honestly.]"
INCOME = [[39, 7, 1, 1, 1, 1, 4, 1, 2174, 0, 40, 9]]
HOUSE: dict[str, Any] = {
    "MSZoning": "RL", "LotArea": 8450, "LotShape": "Reg", "Utilities": "AllPub", "YrSold": 2008,
    "Neighborhood": "CollgCr", "OverallQual": 7, "YearBuilt": 2003, "SaleType": "WD", "GarageArea": 548,
}  # fmt: skip
WINE = {"fixed acidity": 7.4, "citric acid": 0.0, "free sulfur dioxide": 11.0, "pH": 3.51, "alcohol": 9.4}
TITANIC = [1, 3, "Braund, Mr. Owen Harris", "male", 22.0, 1, 0, "A/5 21171", 7.25, None, "S"]
TEXTS = {
    "fill": ["The capital of france is [MASK].", "The capital of [MASK] is paris."],
    "sentiment": ["Hello, my dog is cute."],
    "entities": ["hello world my dog is cute"],
    "embedding": ["This is an example sentence."],
}
QUERY = "What is the capital of France?"
DOCUMENTS = ["The capital of Brazil is Brasilia.", "The capital of France is Paris."]
T5_PROMPT = "translate this to germany"
CIFAR = (np.arange(3 * 32 * 32) % 97 / 97).reshape(1, 3, 32, 32).astype(np.float32)
TRITON = """
name: "cifar"
platform: "pytorch_libtorch"
max_batch_size: 1
input [ { name: "INPUT__0" data_type: TYPE_FP32 dims: [3,32,32] } ]
output [ { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [10] } ]
"""
IMAGE_MODEL = """
import base64, io
from PIL import Image
from kserve import InferInput, InferOutput, InferRequest, InferResponse, Model, ModelServer


class ImageModel(Model):
    def __init__(self, name):
        super().__init__(name, return_response_headers=True)

    def load(self):
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        if response_headers is not None:
            response_headers["prediction-time-latency"] = "1.5"
        if isinstance(payload, InferRequest):
            data = payload.inputs[0].data[0]
            image = Image.open(io.BytesIO(data if isinstance(data, bytes) else base64.b64decode(data)))
            values = list(image.getpixel((0, 0)))
            output = InferOutput("output-0", [len(values)], "FP32", [float(value) for value in values])
            return InferResponse(payload.id or "1", self.name, [output])
        image = Image.open(io.BytesIO(base64.b64decode(payload["instances"][0]["image"]["b64"])))
        return {"predictions": list(image.getpixel((0, 0)))}


if __name__ == "__main__":
    model = ImageModel("image")
    model.load()
    ModelServer().start([model])
"""


NODE_MODEL = """
import argparse
import kserve
from fastapi import HTTPException


class Node(kserve.Model):
    def __init__(self, name):
        super().__init__(name)
        self.name = name
        self.load()

    def load(self):
        self.ready = True

    def predict(self, payload, headers=None):
        raise HTTPException(status_code=404, detail="Intentional 404 code")


parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
args, _ = parser.parse_known_args()
if __name__ == "__main__":
    kserve.ModelServer(workers=1).start([Node(name=args.model_name)])
"""


def png(mode: str, size: tuple[int, int], colour: Any) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new(mode, size, colour).save(stream, "PNG")
    return stream.getvalue()


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


PICTURE = png("RGB", (20, 20), (14, 15, 16))
FLOWER = png("RGB", (8, 8), (200, 100, 50))


def sklearn_iris(folder: Path) -> Any:
    from sklearn.svm import SVC

    model = SVC(gamma="scale").fit(*load_iris(return_X_y=True))
    joblib.dump(model, folder / "model.joblib")
    return model.predict(IRIS).tolist()


def xgboost_iris(folder: Path) -> Any:
    import xgboost

    settings = {"objective": "multi:softmax", "num_class": 3, "nthread": 1}
    booster = xgboost.train(settings, xgboost.DMatrix(*load_iris(return_X_y=True)), 10)
    (folder / "model.bst").write_bytes(booster.save_raw("ubj"))
    return booster.predict(xgboost.DMatrix(np.array(IRIS, np.float32))).tolist()


def lightgbm_iris(folder: Path) -> Any:
    import lightgbm

    X, y = load_iris(return_X_y=True)
    settings = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(X, y, feature_name=list(SEPALS)), 10)
    booster.save_model(folder / "model.bst")
    row = list(SEPALS.values())
    alone = [[value if i == j else math.nan for j in range(4)] for i, value in enumerate(row)]
    return {
        "v2": booster.predict(np.array(IRIS, np.float32)).tolist(),
        "v3": booster.predict([row]).tolist(),
        "v4": booster.predict(alone).tolist(),
        "v5": booster.predict(alone[:3]).tolist(),
    }


def news(folder: Path) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline

    texts = [NEWS, "The car has a new engine", "God and the law", "My engine is broken"] * 3
    model = make_pipeline(TfidfVectorizer(), SGDClassifier(random_state=0)).fit(texts, [19, 7, 19, 7] * 3)
    joblib.dump(model, folder / "model.joblib")
    return model.predict([NEWS]).tolist()


def income(folder: Path) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    rows = np.random.default_rng(0).integers(0, 50, (60, 12))
    model = RandomForestClassifier(5, random_state=0).fit(rows, rows[:, 0] > 25)
    joblib.dump(model, folder / "model.joblib")
    return model.predict(INCOME).tolist()


def house(folder: Path) -> Any:
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    other = {name: f"{value}2" if isinstance(value, str) else value + 7 for name, value in HOUSE.items()}
    frame = pd.DataFrame([HOUSE, other] * 5)
    columns = make_column_transformer(
        (OneHotEncoder(), make_column_selector(dtype_include=["object", "string"])),
        (StandardScaler(), make_column_selector(dtype_include="number")),
    )
    model = make_pipeline(columns, LinearRegression()).fit(frame, [12.2, 11.1] * 5)
    joblib.dump(model, folder / "model.joblib")
    return model.predict(pd.DataFrame([HOUSE])).tolist()


def wine(folder: Path) -> Any:
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.linear_model import ElasticNet

    X, y = load_wine(return_X_y=True)
    frame = pd.DataFrame(X[:, : len(WINE)], columns=list(WINE))
    model = ElasticNet(alpha=0.1).fit(frame, y)
    folder.rmdir()
    signature = infer_signature(frame, model.predict(frame))
    mlflow.sklearn.save_model(
        model, folder, signature=signature, pip_requirements=[], serialization_format="cloudpickle"
    )
    return model.predict(pd.DataFrame([WINE])).tolist()


def flowers(folder: Path) -> Any:
    import tensorflow as tf

    class Flowers(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.string)])
        def classify(self, image_bytes: Any, key: Any) -> Any:
            pictures = tf.map_fn(tf.io.decode_png, image_bytes, fn_output_signature=tf.uint8)
            scores = tf.nn.softmax(tf.reduce_mean(tf.cast(pictures, tf.float32), [1, 2]) / 50.0)
            return {"scores": scores, "prediction": tf.argmax(scores, 1), "key": key}

    module = Flowers()
    tf.saved_model.save(module, str(folder / "1"), signatures=module.classify)
    answer = module.classify(tf.constant([FLOWER]), tf.constant(["   1"]))
    return [
        {
            "scores": answer["scores"].numpy()[0].tolist(),
            "prediction": int(answer["prediction"][0]),
            "key": answer["key"].numpy()[0].decode(),
        }
    ]


def cifar(folder: Path) -> Any:
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 10, 32), torch.nn.Flatten()).eval()
    (folder / "1").mkdir()
    torch.jit.script(model).save(str(folder / "1" / "model.pt"))
    (folder / "config.pbtxt").write_text(TRITON)
    with torch.inference_mode():
        return model(torch.from_numpy(CIFAR)).numpy().tolist()


def vision(folder: Path, work: Path) -> Any:
    """A picture to the number of its class, as TorchServe's example of MNIST."""
    import torch

    from tests.adapters.torchserve_.archives import classifier

    model = classifier(work, folder)
    with torch.inference_mode():
        best = model(_normalised(PICTURE)).softmax(1)[0].topk(5)
    answer = dict(zip(map(str, best.indices.tolist()), best.values.tolist(), strict=True))
    return {"once": [answer], "twice": [answer, answer]}


def _normalised(picture: bytes) -> Any:
    """As TorchServe's handler of pictures does."""
    import torch
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).resize((256, 256)).crop((16, 16, 240, 240))
    tensor = torch.tensor(np.asarray(image)).permute(2, 0, 1).float() / 255
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((tensor - mean[:, None, None]) / deviation[:, None, None])[None]


def image(folder: Path) -> Any:
    (folder / "model.py").write_text(IMAGE_MODEL)
    return [14, 15, 16]


def bert(folder: Path, architecture: str, **config: Any) -> None:
    from tests.adapters.huggingface_.models import save, train_wordpiece

    save(folder, architecture, train_wordpiece(), **config)


def failing_node(folder: Path) -> Any:
    """python/test_resources/graph/error_404_isvc of KServe."""
    (folder / "model.py").write_text(NODE_MODEL)
    return {"detail": "Intentional 404 code"}


def t5(folder: Path) -> None:
    from tests.adapters.huggingface_.pipeline_models import MODELS

    MODELS["text2text-generation"](folder)


def t5_text(folder: Path) -> str:
    """What transformers writes for the prompt itself, as long as T5's folder says nothing of how long: 256 tokens."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    ids = tokenizer(T5_PROMPT, return_tensors="pt")["input_ids"]
    made = model.generate(input_ids=ids, max_new_tokens=256, do_sample=False)
    return str(tokenizer.decode(made[0], skip_special_tokens=True))


def paddle(folder: Path) -> None:
    (folder / "resnet.pdmodel").write_bytes(b"\x0a\x9c\x01\x08\x00\x10\xff")
    (folder / "resnet.pdiparams").write_bytes(bytes(64))


def pmml(folder: Path) -> None:
    (folder / "model.pmml").write_text(
        '<?xml version="1.0"?>\n<PMML version="4.3" xmlns="http://www.dmg.org/PMML-4_3"/>'
    )


def autogluon(folder: Path) -> None:
    """The files of a `TabularPredictor`, whose pickles name AutoGluon's classes."""
    (folder / "models").mkdir()
    for name, module in (("predictor", "predictor.predictor"), ("learner", "learner.default_learner")):
        content = f"cautogluon.tabular.{module}\nTabularPredictor\n."
        (folder / f"{name}.pkl").write_bytes(b"\x80\x02" + content.encode())
    (folder / "metadata.json").write_text('{"system": "Linux"}')
    (folder / "version.txt").write_text("1.4.0")
