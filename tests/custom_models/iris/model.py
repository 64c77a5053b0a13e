"""A scikit-learn model from a folder that is named on the command line, as KServe's sklearn server loads it."""

import argparse
import os

import joblib
import numpy as np
from kserve import InferRequest, InferResponse, Model, ModelServer, model_server
from kserve.utils.utils import get_predict_input, get_predict_response


class Iris(Model):
    def __init__(self, name, model_dir):
        super().__init__(name)
        self.model_dir = model_dir

    def load(self):
        self.model = joblib.load(os.path.join(self.model_dir, "model.joblib"))
        self.ready = True
        return self.ready

    def predict(self, payload: dict | InferRequest, headers: dict | None = None) -> dict | InferResponse:
        rows = np.asarray(get_predict_input(payload))
        return get_predict_response(payload, self.model.predict_proba(rows), self.name)


parser = argparse.ArgumentParser(parents=[model_server.parser])
parser.add_argument("--model_dir", required=True, help="A local path to the model directory")


def main():
    args, _ = parser.parse_known_args()
    model = Iris(args.model_name, args.model_dir)
    model.load()
    ModelServer().start([model])


if __name__ == "__main__":
    main()
