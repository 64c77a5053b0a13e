"""Prometheus' text in the words of engines."""

from __future__ import annotations

import asyncio
from pathlib import Path

from adapters.upstream.upstream_usage import parse, usage_of
from adapters.upstream.vllm_program import VllmProgram


def test_labels_are_added_up_and_nonsense_is_passed_over() -> None:
    text = '# HELP a b\na{x="1 2"} 1.5\na{x="3"} 2\nb 7\nc nan\nd -1\ne\n\nf{} x\n'
    assert parse(text) == {"a": 3.5, "b": 7.0}


def test_where_nothing_is_told_the_open_requests_are_what_is_known(tmp_path: Path) -> None:
    usage = asyncio.run(usage_of(tmp_path / "nobody", VllmProgram.metrics, 3))
    assert (usage.running, usage.waiting, usage.running_bytes, usage.failed) == (3, 0, 0, "")
