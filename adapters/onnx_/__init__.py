"""ONNX graphs through ONNX Runtime.

`adapter` is the adapter; `proto` reads the file's protobuf without onnx, `graph` finds what the runtime does not tell,
`trial` runs the graph to learn its rows and shapes, `types` holds the runtime's types and errors in our words.
"""

from adapters.onnx_.adapter import OnnxAdapter

__all__ = ["OnnxAdapter"]
