"""ONNX graphs through ONNX Runtime.

`adapter` is the adapter; `proto` reads the file's protobuf without onnx, `audit` says what a file may do (`nodes` reads
what it is built of, `operators` lists what is known), `graph` finds what the runtime does not tell, `trial` runs the
graph to learn its rows and shapes, `types` holds the runtime's types and errors in our words, `arena` bounds memory.
"""

from adapters.onnx_.adapter import OnnxAdapter

__all__ = ["OnnxAdapter"]
