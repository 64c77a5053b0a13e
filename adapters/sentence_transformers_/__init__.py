"""sentence-transformers folders (`modules.json`) that the Hugging Face adapter does not serve by itself.

`adapter` is the adapter; `folder` checks the folder's files before the library reads them, `kinds` asks the library:
dense and sparse embeddings of texts, scores of pairs.
"""

from adapters.sentence_transformers_.adapter import SentenceTransformersAdapter

__all__ = ["SentenceTransformersAdapter"]
