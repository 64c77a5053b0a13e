"""A custom model whose method is misspelled: nothing can be asked of it."""

from pathlib import Path

CODE = """
import kserve


class Twice(kserve.Model):
    def load(self):
        self.ready = True

    def predit(self, payload, headers=None):
        return {"predictions": [2 * x for x in payload["instances"]]}
"""


def make(folder: Path) -> None:
    (folder / "model.py").write_text(CODE)
