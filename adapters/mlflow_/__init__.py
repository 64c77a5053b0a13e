"""MLflow model folders (`MLmodel`).

`formats.mlmodel` reads the description, `flavors` finds which adapter serves what it describes, `adapter` serves the
rest as MLflow itself does (`python_function`), in a worker: `schema` makes a signature of MLflow's, `values` turns
tensors into the data frame or arrays that such a model takes, and its answers into tensors.
"""

from adapters.mlflow_.adapter import MlflowAdapter

__all__ = ["MlflowAdapter"]
