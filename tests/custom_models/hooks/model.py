"""Every hook, synchronous; the headers take part."""

from typing import Dict

import kserve


class Hooks(kserve.Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def preprocess(self, payload: Dict, headers: Dict[str, str] = None) -> Dict:
        return {"instances": [2 * value for value in payload["instances"]]}

    def predict(self, payload: Dict, headers: Dict[str, str] = None) -> Dict:
        return {"predictions": [value + 1 for value in payload["instances"]]}

    def postprocess(self, result: Dict, headers: Dict[str, str] = None) -> Dict:
        return {**result, "tenant": headers.get("x-tenant", "nobody")}

    def explain(self, payload: Dict, headers: Dict[str, str] = None) -> Dict:
        return {"explanations": [[value] for value in payload["instances"]]}
