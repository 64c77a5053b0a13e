"""KServe's own server with a transformer: `kserve_transformer.py --http_port N --model_name NAME --predictor_host ...`.

It has no model: what it answers is what the predictor has answered.
"""

from __future__ import annotations

from kserve import Model, ModelServer
from kserve.model_server import args


class Through(Model):
    """KServe's `predict`, which asks the predictor."""


if __name__ == "__main__":
    model = Through(args.model_name)
    model.ready = True
    ModelServer().start([model])
