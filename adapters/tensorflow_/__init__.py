"""TensorFlow: SavedModels, frozen graphs, Keras files.

`adapter` is the adapter. Without TensorFlow: `graph` reads graphs from their bytes, `scan` says what they would touch.
With it: `saved_model`, `frozen` and `keras_` load, `session` runs a graph, `trial` finds out how it takes rows, `types`
holds TensorFlow's types and errors in our words.
"""

from adapters.tensorflow_.adapter import TensorflowAdapter

__all__ = ["TensorflowAdapter"]
