"""A transformer: `predict` is KServe's own, which calls the predictor."""

from kserve import Model


class Forwarding(Model):
    def preprocess(self, payload, headers=None):
        return {"instances": [value * 10 for value in payload["instances"]]}
