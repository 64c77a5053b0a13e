"""Transformers folders: classification, tokens, masks and embeddings.

`adapter` is the adapter; `bundle` checks the folder's files, `loading` makes model and tokenizer of them, `encoder`
tokenises and groups texts, `tasks` and `embedding` turn the model's output into answers, `sentence` reads
sentence-transformers' modules.
"""

from adapters.huggingface_.adapter import HuggingFaceAdapter

__all__ = ["HuggingFaceAdapter"]
