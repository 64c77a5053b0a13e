"""XGBoost's binary format of before 3.1: told by its header, and read by an XGBoost that still can.

Since version 1.0 such files begin with `binf`; before, with the header itself: base_score and counts, the version that
wrote it, zeros up to byte 136, then the names of objective and booster, each behind its length.
"""

from __future__ import annotations

import importlib.metadata
import re
import struct

from adapters.base import Origin

__all__ = ["HEAD_BYTES", "PROBLEM", "is_old", "origin_of"]

HEAD_BYTES = 512  #: that `is_old` wants to see
PROBLEM = (
    "{} is in XGBoost's old binary format, which XGBoost 3.1 removed: "
    "load it with xgboost<3.1 and save it again with save_model('model.ubj')"
)
#: such a file in whatever version wrote it
_REQUIREMENTS = "xgboost<3.1"

_MARK = b"binf"
_HEADER = re.compile(rb".{136}[\x01-\x40]\0{7}[a-z][a-z0-9:_]+[\x04-\x10]\0{7}(?:gbtree|gblinear|dart)", re.DOTALL)


def is_old(head: bytes) -> bool:
    """Whether a file's leading `HEAD_BYTES` are those of a model in the old format."""
    return head.startswith(_MARK) or _HEADER.match(head) is not None


def origin_of(head: bytes) -> Origin:
    """What wrote the file, and where it can be read."""
    header = head.removeprefix(_MARK)
    major, minor = struct.unpack_from("<II", header, 20) if len(header) >= 28 else (0, 0)
    made_by = f"XGBoost {major}.{minor}" if 0 < major < 4 and minor < 100 else "an XGBoost of before 1.0"
    try:
        installed = importlib.metadata.version("xgboost")
    except importlib.metadata.PackageNotFoundError:
        installed = ""
    return Origin(made_by, installed, _REQUIREMENTS)
