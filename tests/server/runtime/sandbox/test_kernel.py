"""What a kernel lacks is named."""

from __future__ import annotations

from server.runtime.sandbox.kernel import Kernel, has_seccomp


def test_a_kernel_that_has_all_lacks_nothing() -> None:
    kernel = Kernel(lambda: 6, lambda: True, "x86_64")
    assert kernel.missing == ()
    assert not kernel.has_nothing


def test_each_lack_is_named() -> None:
    assert "no Landlock" in Kernel(lambda: 0, lambda: True, "x86_64").missing[0]
    assert "empty files" in Kernel(lambda: 2, lambda: True, "x86_64").missing[0]
    missing = Kernel(lambda: 5, lambda: False, "x86_64").missing
    assert len(missing) == 2
    assert "no seccomp" in missing[0]
    assert "signal" in missing[1]
    assert "no list of calls for riscv64" in Kernel(lambda: 6, lambda: True, "riscv64").missing[0]


def test_nothing_at_all() -> None:
    assert Kernel(lambda: 0, lambda: False, "x86_64").has_nothing
    assert Kernel(lambda: 0, lambda: True, "riscv64").has_nothing


def test_this_kernel_is_asked() -> None:
    with open("/proc/self/status") as status:  # noqa: PTH123
        known = any(line.startswith("Seccomp:") for line in status)
    assert has_seccomp() == known
    assert Kernel().landlock >= 0
