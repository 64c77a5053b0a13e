"""Text embeddings: a model's hidden states, pooled to one vector a text."""

from __future__ import annotations

from typing import Any

from adapters.base import InvalidInput, Parameter, TensorSpec
from adapters.huggingface_.encoder import Row
from adapters.huggingface_.tasks import OUTPUT, Settings, Task

#: [1, tokens, hidden] -> [1, hidden]; there is no padding to leave out
_POOL = {
    "mean": lambda states: states.sum(1) / states.shape[1],
    "max": lambda states: states.max(1).values,
    "cls": lambda states: states[:, 0],
    "lasttoken": lambda states: states[:, -1],
}

PARAMETERS = (
    Parameter("prompt_name", str, meaning="the prompt, of those that come with the model, to write before each text"),
    Parameter("prompt", str, meaning="a text to write before each text, instead of a prompt by name"),
    Parameter("normalize", bool, meaning="vectors of length 1, whatever the model's modules make"),
    Parameter("truncate_dim", int, meaning="the first so many numbers of each vector (Matryoshka models)"),
)


class TextEmbedding(Task):
    """One vector a text: its tokens' hidden states, pooled and (where the model asks for it) of length 1.

    As in sentence-transformers, a vector is cut after the model's own normalisation and before the asked-for one.
    """

    name = "text_embedding"
    auto_class = "AutoModel"
    output = "last_hidden_state"
    unused = "pooler."
    parameters = PARAMETERS

    def prepare(self, text: str, settings: Settings) -> str:
        text = self._prompt(settings) + text
        return text.lower() if self.sentence.lower else text

    def spec(self, settings: Settings) -> TensorSpec:
        (row,) = self.encoder.rows([self.prepare("example", settings)], truncation=True)
        ((_, output),) = self.encoder.outputs([row])  # no name in the configuration is right for every model
        return TensorSpec(OUTPUT, "FP32", (-1, self.answer(row, output, settings).shape[-1]))

    def meaning(self, spec: TensorSpec) -> str:
        return "embedding"

    def answer(self, row: Row, output: Any, settings: Settings) -> Any:
        from torch.nn import functional

        vector = _POOL[self.sentence.pooling](output)
        if self.sentence.normalize:
            vector = functional.normalize(vector, p=2, dim=1)
        if (size := settings.get("truncate_dim", self.sentence.truncate_dim)) is not None:
            if not 0 < size <= vector.shape[-1]:
                raise InvalidInput(f"truncate_dim is {size}: the model's vectors have {vector.shape[-1]} numbers")
            vector = vector[:, :size]
        if settings.get("normalize"):
            vector = functional.normalize(vector, p=2, dim=1)
        return vector[0].numpy()

    def _prompt(self, settings: Settings) -> str:
        prompt, name = settings.get("prompt"), settings.get("prompt_name")
        if prompt is not None or name is None:
            return str(self.sentence.prompt if prompt is None else prompt)
        if name not in self.sentence.prompts:
            known = ", ".join(self.sentence.prompts) or "none"
            raise InvalidInput(f"prompt_name: the model has no prompt {name!r}; it has {known}")
        return self.sentence.prompts[name]
