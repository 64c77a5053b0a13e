"""Bytes and tensors: V1 JSON, V2 JSON, V2 binary and gRPC <-> named arrays. Pure functions; no I/O, no model.

v1 (instances, tf_serving)    v2, grpc_messages (binding, raw_tensors)    a protocol each
json_tensors, json_values     JSON values to arrays, and the check of an array against its spec
outputs                       arrays to JSON values and texts
request, messages             what every protocol decodes to; how refusals name things
fast/                         the same answers, sooner, for the requests that are sent most
"""
