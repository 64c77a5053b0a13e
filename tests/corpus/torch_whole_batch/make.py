"""A program whose rows depend on each other: a request is answered by itself, whatever waits beside it."""

from pathlib import Path

import torch


class Centred(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0, keepdim=True)


def make(folder: Path) -> None:
    torch.jit.script(Centred()).save(str(folder / "model.pt"))
