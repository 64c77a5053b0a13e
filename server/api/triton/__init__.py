"""Triton's extensions of the protocol, as the documents that REST sends and gRPC writes in its messages."""
