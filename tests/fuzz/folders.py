"""Damaged model folders, looked at as the server's own process looks at them: each gets an adapter or a reason.

python -m tests.fuzz.folders --seed 1 --cases 5000

What `registry.choose` does runs before trust and before the trial: a file that it cannot bear takes the server along.
"""

from __future__ import annotations

import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from adapters import registry
from adapters.base import LoadError, ModelDir
from tests.cases import CASES
from tests.fuzz.arguments import arguments
from tests.shared import Shared

#: bytes that looking at a folder may take beside a few times the files' own size
_MOST_MEMORY = 64 * 2**20
_LARGEST = 4 * 2**20  #: files above it are left as they are
#: what readers of binary formats trip over: ends of varints, lengths, powers of two
_WORDS = (
    b"\xff" * 10, b"\x80" * 9 + b"\x01", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\x00" * 8,
    b"\xff" * 8, b"\x7f", b"\x80", b"\n\n", b"{", b"[" * 500, b"../", b"/etc/passwd\x00", b"%s", b"\xed\xa0\x80",
    b"1e999",
)  # fmt: skip


def damaged(rng: Random, content: bytes) -> bytes:
    """The content, changed a little, cut, or with parts of it elsewhere."""
    raw = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 5, 20])):
        at = rng.randrange(len(raw) or 1)
        if rng.random() < 0.3:  # where most of what is read stands
            at = (
                rng.randrange(min(len(raw), 64) or 1)
                if rng.random() < 0.5
                else max(0, len(raw) - 1 - rng.randrange(64))
            )
        match rng.randrange(6):
            case 0 if raw:
                raw[at] ^= 1 << rng.randrange(8)
            case 1:
                del raw[at : at + rng.choice([1, 8, 100])]
            case 2:
                raw[at:at] = rng.choice(_WORDS)
            case 3:
                word = rng.choice(_WORDS)
                raw[at : at + len(word)] = word
            case 4:
                begin = rng.randrange(len(raw) or 1)
                raw[at:at] = raw[begin : begin + rng.choice([4, 64, 1000])]
            case _:
                if rng.random() < 0.3:
                    del raw[at:]
    return bytes(raw)


def look(folder: Path) -> str:
    """The adapter that takes the folder, or that it is refused.

    Raises:
        AssertionError: looking at it took more memory than its files explain.
    """
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    tracemalloc.start()
    try:
        chosen = registry.choose(ModelDir.of(folder)).adapter.name
    except LoadError as error:
        chosen = "refused" if str(error) else "refused without a reason"
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < _MOST_MEMORY + 4 * size, f"{peak} bytes for a folder of {size}"
    return chosen


def run(folders: Sequence[Path], seed: int, cases: int) -> Counter[str]:
    """Damage one file of a folder at a time, so often; what became of them.

    Raises:
        AssertionError: a folder was more than the look at it bears.
    """
    rng, told = Random(seed), Counter[str]()
    for number in range(cases):
        folder = rng.choice(folders)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size <= _LARGEST]
        path = rng.choice(files)
        content = path.read_bytes()
        path.write_bytes(damaged(rng, content))
        try:
            told[look(folder)] += 1
        except Exception as error:
            raise AssertionError(f"case {number}, seed {seed}: {path.relative_to(folder.parent)}: {error!r}") from error
        finally:
            path.write_bytes(content)
    return told


def copies(shared: Shared, root: Path) -> list[Path]:
    """A folder of every case's model that may be written to."""
    for case in CASES:
        shared.copy(case, root / case.name)
    return sorted(root.iterdir())


if __name__ == "__main__":
    given = arguments(__doc__, 5_000)
    with tempfile.TemporaryDirectory() as directory:
        made = copies(Shared(Path(directory) / "shared"), Path(directory) / "copies")
        print(dict(run(made, given.seed, given.cases)))
