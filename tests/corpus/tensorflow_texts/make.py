"""Texts in, a text and a number out; V1 takes them as base64, too."""

from pathlib import Path
from typing import Any

import tensorflow as tf


class Texts(tf.Module):
    """Lengths and capitals."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def f(self, text: Any) -> Any:
        return {"length": tf.strings.length(text, "UTF8_CHAR"), "upper": tf.strings.upper(text, "utf-8")}


def make(folder: Path) -> dict[str, Any]:
    texts = Texts()
    tf.saved_model.save(texts, str(folder / "1"), signatures={"serving_default": texts.f})
    answer = texts.f(tf.constant(["abc", "größe"]))
    lengths, uppers = answer["length"].numpy().tolist(), [each.decode() for each in answer["upper"].numpy()]
    rows = [{"length": length, "upper": upper} for length, upper in zip(lengths, uppers, strict=True)]
    return {"rows": rows, "base64": rows[:1]}
