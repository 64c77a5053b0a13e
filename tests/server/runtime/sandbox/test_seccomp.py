"""Filters are programs as the kernel wants them; what they do is tried in test_launcher."""

from __future__ import annotations

import itertools
import struct

import pytest

from server.runtime.sandbox.seccomp import filter_for, install
from server.runtime.sandbox.system_calls import LAST, MACHINES

KILL, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000


def run(program: bytes, arch: int, number: int, *arguments: int) -> int:
    """What the kernel would answer."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *(*arguments, *[0] * 6)[:6])
    at, register = 0, 0
    while True:
        code, yes, no, value = struct.unpack_from("<HBBI", program, 8 * at)
        at += 1
        if code == 0x06:
            return int(value)
        if code == 0x20:
            register = struct.unpack_from("<I", data, value)[0]
        elif code == 0x54:
            register &= value
        else:
            holds = {0x15: register == value, 0x35: register >= value, 0x45: bool(register & value)}[code]
            at += yes if holds else no


@pytest.mark.slow
@pytest.mark.parametrize("name", MACHINES)
@pytest.mark.parametrize(("network", "signals", "truncates"), [*itertools.product([False, True], repeat=3)])
def test_every_call_of_every_program_is_decided(name: str, network: bool, signals: bool, truncates: bool) -> None:
    machine = MACHINES[name]
    program = filter_for(machine, network=network, signals=signals, truncates=truncates)
    assert len(program) // 8 < 4096
    for number in range(LAST + 1):
        for first, second in itertools.product([0, 1, 2, 0xFFFFFFFF], repeat=2):
            verdict = run(program, machine.audit, number, first, second, 1)
            assert verdict == ALLOW or verdict & 0xFFFF0000 == ERRNO
    assert run(program, machine.audit, machine.calls["ptrace"]) == ERRNO | 1
    assert run(program, machine.audit, machine.calls["socket"], 2, 1) == (ALLOW if network else ERRNO | 13)
    assert run(program, machine.audit, machine.calls["socket"], 1, 1) == ERRNO | 13
    assert run(program, machine.audit, machine.calls["truncate"]) == (ALLOW if truncates else ERRNO | 1)
    assert run(program, machine.audit, machine.calls["kill"], 1) == (ALLOW if signals else ERRNO | 1)
    assert run(program, machine.audit, machine.calls["clone"], 0x10000000) == ERRNO | 1
    assert run(program, machine.audit, machine.calls["clone"], 0x3D0F00) == ALLOW


def test_what_is_newer_and_what_is_another_machines_is_not_let_through() -> None:
    machine = MACHINES["x86_64"]
    program = filter_for(machine, network=True, signals=True, truncates=True)
    assert run(program, machine.audit, LAST + 1) == ERRNO | 38
    assert run(program, machine.audit, 0x40000000 + 1) == ERRNO | 38, "x32"
    assert run(program, 0x40000003, 1) == KILL, "32 bits"


def test_what_is_no_program_is_refused() -> None:
    with pytest.raises(OSError, match="seccomp"):
        install(struct.pack("<HBBI", 0xFFFF, 0, 0, 0))
