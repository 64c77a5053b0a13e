"""The server: HTTP and gRPC into tensors and back. Knows no framework."""
