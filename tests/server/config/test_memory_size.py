"""How much memory there is, by the kernel's files of containers and machines of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.config.memory_size import Amount, amount, memory_limit

GIB = 2**30


def machine(root: Path, cgroup: str, limits: dict[str, str]) -> Path:
    files = {"proc/meminfo": "MemFree: 1 kB\nMemTotal:       16777216 kB\n", "proc/self/cgroup": cgroup}
    for name, text in (files | {f"sys/fs/cgroup/{name}": text for name, text in limits.items()}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("cgroup", "limits", "expected"),
    [
        ("", {}, 16 * GIB),
        ("0::/\n", {"memory.max": "max\n"}, 16 * GIB),
        ("0::/\n", {"memory.max": f"{GIB}\n"}, GIB),
        ("0::/kube/pod/box\n", {"kube/pod/box/memory.max": "max\n", "kube/pod/memory.max": f"{2 * GIB}\n"}, 2 * GIB),
        ("0::/kube/pod/box\n", {"memory.max": f"{3 * GIB}\n"}, 3 * GIB),  # the path is that outside the container
        ("0::/../../box\n", {"memory.max": f"{3 * GIB}\n"}, 3 * GIB),
        ("9:cpu:/x\n4:memory:/docker/1\n", {"memory/docker/1/memory.limit_in_bytes": f"{GIB}\n"}, GIB),
        ("4:memory:/docker/1\n", {"memory/memory.limit_in_bytes": f"{GIB}\n"}, GIB),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 16 * GIB),
    ],
)
def test_the_tightest_limit_holds(tmp_path: Path, cgroup: str, limits: dict[str, str], expected: int) -> None:
    assert memory_limit(machine(tmp_path, cgroup, limits)) == expected


def test_this_machine_has_a_limit() -> None:
    assert Amount(share=0.5).resolve() == memory_limit() // 2
    assert memory_limit() > 2**20


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8GiB", Amount(8 * GIB)), ("60%", Amount(share=0.6)), (" 12.5 %", Amount(share=0.125)), ("1000", Amount(1000))],
)
def test_an_amount_is_a_size_or_a_share(text: str, expected: Amount) -> None:
    assert amount().read(text) == expected
    assert amount().read(str(expected)) == expected


@pytest.mark.parametrize("text", ["", "%", "0%", "101%", "-1%", "nan%", "x%", "8 apples", "0"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"60%|100%"):
        amount().read(text)


def test_a_number_without_a_unit_that_nobody_means_is_asked_about() -> None:
    with pytest.raises(ValueError, match="is 4 bytes: write a unit, as in 4GiB"):
        amount().read("4")
