"""REST: KServe V1, V2 (Open Inference Protocol), TorchServe. Small requests take a short way past ASGI."""
