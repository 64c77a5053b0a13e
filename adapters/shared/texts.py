"""How much text a tokenizer is given at once: what it makes of a character takes some 200 bytes and a microsecond."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

#: characters: a request of 34 MB took 6.4 GB and more than a minute
AT_ONCE = 1_000_000
#: what the tokenizers package raises where it did not expect what it reads; no `Exception`
PANIC = "PanicException"


def portions(lengths: Iterable[int], most: int = AT_ONCE) -> Iterator[list[int]]:
    """Rows of these lengths, by their numbers, in portions of at most so many characters, or of one row."""
    portion: list[int] = []
    left = most
    for row, length in enumerate(lengths):
        if portion and length > left:
            yield portion
            portion, left = [], most
        portion.append(row)
        left -= length
    if portion:
        yield portion


@contextlib.contextmanager
def without_panics() -> Iterator[None]:
    """Where the tokenizers package panics, it raises what no `except Exception` sees, as the interpreter's own exit is.

    What it finds wrong with its own files it raises as a bare `Exception`.

    Raises:
        RuntimeError: that, as a failure of the model.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != PANIC and type(error) is not Exception:
            raise
        whence = "it is made of the model's tokenizer.json or GGUF file"
        raise RuntimeError(f"the tokenizer gave up: {error} ({whence})") from error


def check_known(ids: Sequence[int], size: int) -> None:
    """That a model of so many tokens knows these.

    Raises:
        RuntimeError: it does not.
    """
    if ids and max(ids) >= size:
        raise RuntimeError(
            f"the tokenizer gave token {max(ids)}, but the model knows {size} tokens: they do not belong together"
        )
