"""The server: HTTP and gRPC into tensors and back. Knows no framework."""

__version__ = "0.1.0"
