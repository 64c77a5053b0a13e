"""The table of metrics names all of them, with their labels."""

from __future__ import annotations

import subprocess
import sys

import pytest

from server.telemetry import metrics
from server.telemetry.metrics_table import markdown


def test_each_has_its_labels_and_a_meaning() -> None:
    rows = {cells[1].strip(" `"): cells for line in markdown().splitlines()[2:] if (cells := line.split("|"))}
    assert rows["polyserve_requests_total"][2].strip() == "counter"
    labels = rows["polyserve_requests_total"][3]
    assert all(f"`{name}`" in labels for name in ("model", "protocol", "verb", "status", "version"))
    assert all(cells[3].strip() or name == "polyserve_memory_budget_bytes" for name, cells in rows.items())
    assert all(cells[4].strip() for cells in rows.values())


def test_all_that_the_docstring_names_are_there() -> None:
    named = {word.partition("{")[0] for word in (metrics.__doc__ or "").split() if word.startswith("polyserve_")}
    assert len(named) > 15
    assert not {name for name in named if f"`{name}`" not in markdown()}


@pytest.mark.slow
def test_it_is_printed() -> None:
    command = [sys.executable, "-m", "server.telemetry.metrics_table"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == markdown()
