"""Hostile tokenizers' files, read as a model's are when it is loaded, and asked: read, or refused with their names.

python -m tests.fuzz.tokenizer_files --seed 1 --cases 2000
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from adapters.base import LoadError, ModelDir
from adapters.huggingface_.loading import check_tokenizer, from_folder
from adapters.shared.texts import without_panics
from adapters.shared.tokenizer_audit import tokenizer_carries
from tests.adapters.huggingface_.models import save, train_bytes, train_wordpiece
from tests.fuzz.arguments import arguments
from tests.fuzz.hostile_tokenizers import change

_TEXTS = ("hello world", "a" * 3000, "é\0 a b c", "")


def look(folder: Path) -> str:
    """What becomes of its tokenizer: "refused", "gave up", "asked", or else words that nobody could make sense of."""
    tokenizer_carries(ModelDir.of(folder))
    try:
        tokenizer = from_folder("AutoTokenizer", folder)
        growth = check_tokenizer(tokenizer)
    except LoadError as error:
        return "refused" if "token" in str(error) or "vocab" in str(error) else f"refused: {error}"
    try:
        for text in _TEXTS:
            read, _ = growth.beginning(text, 10_000)
            with without_panics():
                tokenizer.decode(tokenizer(text[:read], verbose=False)["input_ids"])
    except RuntimeError as error:
        return "gave up" if "the tokenizer gave up" in str(error) else f"failed: {error}"
    return "asked"


def run(bases: Sequence[Path], root: Path, seed: int, cases: int) -> Counter[str]:
    """Change so many folders; what became of them.

    Raises:
        AssertionError: one was more than who loads it bears.
    """
    rng, told = Random(seed), Counter[str]()
    for number in range(cases):
        folder = root / "hostile"
        shutil.copytree(rng.choice(bases), folder)
        changed = change(rng, folder)
        try:
            told[look(folder)] += 1
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            raise AssertionError(f"case {number}, seed {seed}: {changed[:200]}: {error!r}") from error
        finally:
            shutil.rmtree(folder)
    return told


def made(root: Path) -> list[Path]:
    """Sound folders to change."""
    wordpiece = save(root / "wordpiece", "BertModel", train_wordpiece())
    return [wordpiece, save(root / "bytes", "RobertaModel", train_bytes())]


if __name__ == "__main__":
    given = arguments(__doc__, 2_000)
    with tempfile.TemporaryDirectory() as directory:
        print(dict(run(made(Path(directory) / "sound"), Path(directory), given.seed, given.cases)))
