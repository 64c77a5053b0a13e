"""Written for KServe's mount: the path is spelt out, in several ways, and a relative one besides."""

import os
from pathlib import Path

import numpy as np
from kserve import Model
from weights import WEIGHTS

MODEL_DIR = "/mnt/models"


class Mounted(Model):
    def __init__(self, name: str, model_dir: str = "/mnt/models"):
        super().__init__(name)
        self.model_dir = model_dir

    def load(self) -> bool:
        file = "weights.npy"
        paths = ["/mnt/models/weights.npy", f"/mnt/models/{file}", os.path.join(MODEL_DIR, file), WEIGHTS, file]
        paths += [os.path.join(self.model_dir, file), Path(__file__).parent / file]
        self.weights = [np.load(path).tolist() for path in paths]
        self.ready = True
        return self.ready

    def predict(self, payload, headers=None):
        return {"predictions": self.weights}
