"""spaCy without torch, where a pipeline has nothing of it: a quarter of the time to import, and 190 MiB less.

thinc imports torch only to find out whether it is there, and remembers that there is none. So this is for a process
that serves one pipeline and nothing else (`OWN_PROCESS`): elsewhere the next pipeline may need torch.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["OWN_PROCESS", "no_torch", "works_without"]

#: the server sets it for a process that holds one model
OWN_PROCESS = "POLYSERVE_OWN_PROCESS"

#: spaCy's own components: none computes with torch but by an architecture that a config names
_FACTORIES = frozenset({
    "attribute_ruler", "doc_cleaner", "entity_linker", "entity_ruler", "future_entity_ruler", "lemmatizer",
    "merge_entities", "merge_noun_chunks", "merge_subtokens", "morphologizer", "ner", "parser", "sentencizer",
    "senter", "span_cleaner", "span_finder", "span_ruler", "spancat", "spancat_singlelabel", "tagger", "textcat",
    "textcat_multilabel", "tok2vec", "token_splitter", "trainable_lemmatizer",
})  # fmt: skip
_OF_TORCH = "torch"  #: in whatever case: spacy.TorchBiLSTMEncoder.v1, PyTorchLSTM.v1

_NAMED = re.compile(r"^[ \t]*+(factory|@(?:architectures|layers|misc))\s*+=\s*+(.*)$", re.MULTILINE)


def works_without(config: str) -> bool:
    """Whether a pipeline with this config.cfg is made of spaCy's own parts alone. False: it may not be, or who knows.

    What only training resolves counts as well; that costs no more than the import of torch.
    """
    for key, value in _NAMED.findall(config):
        name = value.strip().strip('"')
        if key == "factory" and name not in _FACTORIES:
            return False
        if key != "factory" and (not name.startswith("spacy.") or _OF_TORCH in name.lower()):
            return False
    return True


@contextlib.contextmanager
def no_torch(config: Path, *, foreign: bool = False) -> Iterator[None]:
    """Within, spaCy is imported for a pipeline with this config.cfg: without torch, if that is possible here.

    `foreign`: the pipeline brings code of its own.
    """
    alone = bool(os.environ.get(OWN_PROCESS)) and not {"thinc", "torch"} & sys.modules.keys()
    if not alone or foreign or not works_without(config.read_text(encoding="utf-8", errors="replace")):
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # the documented way to say that there is none
    try:
        yield
    finally:
        del sys.modules["torch"]
