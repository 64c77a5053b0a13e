"""Coverage-guided fuzzing by atheris: inputs that reach new code are kept and changed on, for so many seconds a target.

python -m tests.fuzz.guided --seconds 30                      every target, each in a process of its own
python -m tests.fuzz.guided --target hpack --seconds 600      one of them
python -m tests.fuzz.guided --target hpack --replay FILE      what was found once more, without atheris

Where atheris cannot be had, that is said, and nothing is done: `make fuzz` brings it into build/atheris. What reached
new code is kept in build/guided/TARGET, and what did what it must not in build/guided/TARGET-crash-....
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

BUILD = Path(__file__).parents[2] / "build"
ATHERIS = BUILD / "atheris"
FOUND = BUILD / "guided"
#: seconds and megabytes of one input, above which it counts as a finding; and the bytes of one
_HANG, _MEMORY, _LONGEST = 30, 3000, 8192


def replay(name: str, file: Path) -> None:
    """
    Raises:
        Exception: what the input was kept for.
    """
    from tests.fuzz.guided_targets import TARGETS

    print(TARGETS[name].check(file.read_bytes()))


def fuzz(name: str, seconds: int) -> None:
    """Does not return: libFuzzer ends the process, with a status that is not 0 where something was found."""
    sys.path.append(str(ATHERIS))
    import atheris

    with atheris.instrument_imports(include=["server", "adapters"]):
        from tests.fuzz.guided_targets import TARGETS

    target, corpus = TARGETS[name], FOUND / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    how = {"max_total_time": seconds, "timeout": _HANG, "rss_limit_mb": _MEMORY, "max_len": _LONGEST}
    told = [f"-{each}={value}" for each, value in how.items()]
    atheris.Setup(
        [name, *told, f"-artifact_prefix={FOUND / name}-", "-verbosity=0", "-print_final_stats=1", str(corpus)],
        lambda data: _check(target.check, data),
    )
    atheris.Fuzz()


def _check(check: Any, data: bytes) -> None:
    check(data)


def run(names: list[str], seconds: int) -> list[str]:
    """Fuzz each in a process of its own; those where something was found."""
    failed = []
    for name in names:
        before = set(FOUND.glob(f"{name}-*-*"))
        words = [sys.executable, "-m", "tests.fuzz.guided", "--target", name, "--seconds", str(seconds)]
        ended = subprocess.run([*words, "--here"], capture_output=True, text=True, errors="replace", check=False)
        print(f"{name}: {executions(ended.stderr)} executions", flush=True)
        if ended.returncode:
            failed.append(name)
            print(ended.stdout[-3000:], ended.stderr[-3000:], sep="\n")
        for found in sorted(set(FOUND.glob(f"{name}-*-*")) - before):
            print(f"replay it by: python -m tests.fuzz.guided --target {name} --replay {found}", flush=True)
    return failed


def executions(told: str) -> int:
    """How many there were, as libFuzzer says at its end; 0 where it does not."""
    lines = [line for line in told.splitlines() if line.startswith("stat::number_of_executed_units:")]
    return int(lines[-1].rpartition(":")[2]) if lines else 0


def has_atheris() -> bool:
    return ATHERIS.is_dir() or importlib.util.find_spec("atheris") is not None


def main() -> int:
    """The command line; its status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--target", help="one alone; all, where none is named")
    parser.add_argument("--seconds", type=int, default=30, help="of each target; default 30")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="give the target this input alone")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.replay is not None:
        replay(given.target, given.replay)
        return 0
    if not has_atheris():
        print("no coverage-guided fuzzing: atheris is not here (it has wheels for some versions of Python alone)")
        return 0
    if given.here:
        fuzz(given.target, given.seconds)
    from tests.fuzz.guided_targets import TARGETS

    return 1 if run([given.target] if given.target else list(TARGETS), given.seconds) else 0


if __name__ == "__main__":
    sys.exit(main())
