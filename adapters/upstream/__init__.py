"""Language models that another program serves: `vllm serve` or `llama-server`, a child of the model's worker.

It is asked over a socket file that nobody else can open, in OpenAI's words, and what it says is not trusted.
"""

from adapters.upstream.adapter import LlamaCppAdapter, VllmAdapter

__all__ = ["LlamaCppAdapter", "VllmAdapter"]
