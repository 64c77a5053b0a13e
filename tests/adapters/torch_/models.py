"""Small programs of the kinds that people save, and ways to save them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Digits(nn.Module):
    """Works at one size of image only."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3)
        self.linear = nn.Linear(4 * 26 * 26, 10)

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.linear(torch.flatten(F.relu(self.convolution(x)), 1)), 1)


class AnySize(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, padding=1)
        self.linear = nn.Linear(4, 5)

    def forward(self, image: Tensor) -> Tensor:
        return self.linear(self.convolution(image).mean((2, 3)))


class Encoder(nn.Module):
    """Ids and a mask to a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        hidden = self.embedding(input_ids) * attention_mask.unsqueeze(-1)
        return {"logits": self.head(hidden.mean(1)), "hidden": hidden}


class Ratings(nn.Module):
    """A number and a vector a row; two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.users = nn.Embedding(20, 4)
        self.dense = nn.Linear(3, 4)

    def forward(self, user: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        product = self.users(user) * self.dense(dense)
        return product.sum(1), product


class Series(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 7, batch_first=True)
        self.head = nn.Linear(7, 1)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.lstm(x)
        return self.head(y[:, -1])


class Pair(NamedTuple):
    low: Tensor
    high: Tensor


class Named(nn.Module):
    def forward(self, x: Tensor) -> Pair:
        return Pair(x - 1, x + 1)


class Lengths(nn.Module):
    def forward(self, texts: list[str]) -> Tensor:
        return torch.tensor([len(text) for text in texts])


class OneRow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.reshape(1, 4))


class Neighbours(nn.Module):
    """Rows depend on each other."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x - x.mean(0))


class Stubborn(nn.Module):
    """Takes nothing that could be guessed."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype != torch.int16 or x.dim() != 4 or x.size(3) != 71:
            raise ValueError("no")
        return x.sum((1, 2, 3))


def seeded(module: type[nn.Module], *arguments: Any) -> nn.Module:
    torch.manual_seed(0)
    return module(*arguments).eval()


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


def script(model: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(model).save(path)
    return path


def frozen(model: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.freeze(torch.jit.script(model)).save(path)
    return path


def trace(model: nn.Module, inputs: Sequence[Tensor], path: Path) -> Path:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.jit.trace(model, tuple(inputs), strict=False, check_trace=False).save(path)
    return path


def export(model: nn.Module, inputs: Sequence[Tensor], path: Path, dynamic: Any = None) -> Path:
    torch.export.save(torch.export.export(model, tuple(inputs), dynamic_shapes=dynamic), path)
    return path
