from kserve.model import Model as KServeModel


class Base(KServeModel):
    def predict(self, payload, headers=None):
        return {"predictions": [self.factor() * value for value in payload["instances"]]}
