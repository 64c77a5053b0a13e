"""Whether a file is a pickle, by its leading bytes, whatever its name. Nothing is executed."""

from __future__ import annotations

import re

from adapters.formats.pickles import opened
from adapters.modeldir import ModelDir

__all__ = ["holds_pickle"]

#: the protocol (older ones are text, which could be anything), and what may follow it: a frame, or the first opcodes
_START = re.compile(rb"\x80(?:[\x04\x05]\x95|[\x02-\x05][c(\]}\x8cX])")
_LONGEST = 8


def holds_pickle(model_dir: ModelDir, name: str) -> bool:
    """Whether the file, decompressed if it is compressed, begins as a pickle. PyTorch's own begin otherwise."""
    try:
        with opened(model_dir.file(name)) as stream:
            return _START.match(stream.read(_LONGEST)) is not None
    except Exception:  # whatever a decompressor raises on what it cannot read
        return False
