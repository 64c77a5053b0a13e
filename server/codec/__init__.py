"""The wire and the tensors: V1 JSON, V2 JSON, V2 binary and gRPC <-> named arrays.

`tensors.py` holds what they share: JSON values to arrays, and the check of an array against its spec.
"""
