"""KServe's own ModelServer with models from folders: `kserve_reference.py --http_port N --grpc_port N FOLDER...`.

A model is also served under the other names that follow its folder: `FOLDER=alias`.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path

from kserve import Model, ModelServer


def main() -> None:
    server = ModelServer()
    models = []
    for argument in (argument for argument in sys.argv[1:] if argument.startswith("/")):
        folder, _, alias = argument.partition("=")
        os.chdir(folder)
        names = runpy.run_path("model.py", run_name="model")
        (cls,) = (value for value in names.values() if isinstance(value, type) and value.__module__ == "model")
        assert issubclass(cls, Model)
        model = cls(Path(folder).name)
        if not model.ready:
            model.load()
        model.ready = True
        models.append(model)
        if alias:
            server.register_model(model, alias)
    server.start(models)


if __name__ == "__main__":
    main()
