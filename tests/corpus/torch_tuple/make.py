"""A program that gives a tuple: one output for each of its parts."""

from pathlib import Path

import torch


class Pair(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x + 1, x.sum(1)


def make(folder: Path) -> None:
    torch.jit.script(Pair()).save(str(folder / "model.pt"))
