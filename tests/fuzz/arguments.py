"""What every fuzzer is told: which cases, and how many."""

from __future__ import annotations

import argparse


def arguments(about: str | None, cases: int) -> argparse.Namespace:
    """`seed` and `cases`, from the command line."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--seed", type=int, default=1, help="which cases; default 1")
    parser.add_argument("--cases", type=int, default=cases, help=f"how many; default {cases:,}")
    return parser.parse_args()
