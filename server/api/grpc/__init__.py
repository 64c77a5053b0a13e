"""gRPC: the Open Inference Protocol, and KServe's repository calls."""
