"""A scripted module whose answer is a dictionary: a row of floats, a whole number and a truth value."""

import warnings
from pathlib import Path
from typing import Any

import torch


class Named(torch.nn.Module):
    """Three answers by name."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"doubled": x * 2, "total": x.sum(1).long(), "positive": x[:, 0] > 0}


def make(folder: Path) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and what is on disks everywhere
        torch.jit.script(Named()).save(folder / "model.pt")
    answer = {name: values.tolist() for name, values in Named()(torch.tensor([[1.0, -2.0], [-3.0, 4.0]])).items()}
    return {"rows": [dict(zip(answer, row, strict=True)) for row in zip(*answer.values(), strict=True)]}
