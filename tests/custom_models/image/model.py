"""KServe's custom predictor example, with a mean colour in the place of a network: images come as base64."""

import argparse
import base64
import io

from kserve import Model, ModelServer, model_server
from PIL import Image


class MeanColour(Model):
    def __init__(self, name: str):
        super().__init__(name)
        self.name = name
        self.load()

    def load(self):
        self.size = (8, 8)
        self.ready = True

    def predict(self, payload, headers=None):
        means = []
        for instance in payload["instances"]:
            raw = base64.b64decode(instance["image"]["b64"])
            image = Image.open(io.BytesIO(raw)).convert("RGB").resize(self.size)
            pixels = list(image.getdata())
            means.append([sum(pixel[band] for pixel in pixels) / len(pixels) for band in range(3)])
        return {"predictions": means}


parser = argparse.ArgumentParser(parents=[model_server.parser])
args, _ = parser.parse_known_args()

if __name__ == "__main__":
    model = MeanColour(args.model_name)
    ModelServer().start([model])
