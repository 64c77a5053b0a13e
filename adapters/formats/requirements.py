"""The requirements.txt beside a model, as text; what its lines mean, and whether they are welcome, others judge."""

from __future__ import annotations

from adapters.base import LoadError, ModelDir

FILE = "requirements.txt"
MAX_BYTES = 1 << 20


def beside(model_dir: ModelDir) -> str:
    """The file's text, or "" when there is none.

    Raises:
        LoadError: it leads out of the mount, is too long, or is no text.
    """
    if FILE in model_dir.outside:
        raise LoadError(f"{FILE} leads out of the models directory and is not followed")
    if not model_dir.has(FILE):
        return ""
    text = model_dir.head(FILE, MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise LoadError(f"{FILE} is longer than {MAX_BYTES >> 20} MiB")
    try:
        return text.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise LoadError(f"{FILE} is not UTF-8: {error.reason} at byte {error.start}") from error
