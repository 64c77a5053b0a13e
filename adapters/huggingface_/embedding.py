"""Text embeddings: a model's hidden states, pooled to one vector a text."""

from __future__ import annotations

from typing import Any

from adapters.base import TensorSpec
from adapters.huggingface_.encoder import Row
from adapters.huggingface_.tasks import OUTPUT, Settings, Task

#: [1, tokens, hidden] -> [1, hidden]; there is no padding to leave out
_POOL = {
    "mean": lambda states: states.sum(1) / states.shape[1],
    "max": lambda states: states.max(1).values,
    "cls": lambda states: states[:, 0],
    "lasttoken": lambda states: states[:, -1],
}


class TextEmbedding(Task):
    """One vector a text: its tokens' hidden states, pooled and (where the model asks for it) of length 1."""

    name = "text_embedding"
    auto_class = "AutoModel"
    output = "last_hidden_state"
    unused = "pooler."

    def prepare(self, text: str) -> str:
        text = self.sentence.prompt + text
        return text.lower() if self.sentence.lower else text

    def spec(self, settings: Settings) -> TensorSpec:
        (row,) = self.encoder.rows([self.prepare("example")])
        ((_, output),) = self.encoder.outputs([row])  # no name in the configuration is right for every model
        return TensorSpec(OUTPUT, "FP32", (-1, output.shape[-1]))

    def answer(self, row: Row, output: Any, settings: Settings) -> Any:
        from torch.nn import functional

        pooled = _POOL[self.sentence.pooling](output)
        return (functional.normalize(pooled, p=2, dim=1) if self.sentence.normalize else pooled)[0].numpy()
