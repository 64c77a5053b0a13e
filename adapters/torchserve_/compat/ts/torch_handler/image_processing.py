"""The transformations of torchvision that the default image handlers use, with Pillow and torch alone.

Sizes, rounding and filters are torchvision's, so that the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Transform = Callable[[Any], Any]


class Compose:
    """One transformation after the other."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image


class Resize:
    """The shorter side to `size` pixels, the longer in proportion, bilinear."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        short, long = min(width, height), max(width, height)
        if short == self.size:
            return image
        longer = int(self.size * long / short)
        return image.resize((self.size, longer) if width <= height else (longer, self.size), Image.Resampling.BILINEAR)


class CenterCrop:
    """The square of `size` pixels in the middle; a smaller image is set in black first."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        if width < self.size or height < self.size:
            left = (self.size - width) // 2 if width < self.size else 0
            top = (self.size - height) // 2 if height < self.size else 0
            padded = Image.new(image.mode, (max(width, self.size), max(height, self.size)))
            padded.paste(image, (left, top))
            image = padded
            width, height = image.size
        left = round((width - self.size) / 2.0)
        top = round((height - self.size) / 2.0)
        return image.crop((left, top, left + self.size, top + self.size))


class ToTensor:
    """Channels first, 0 to 1, FP32."""

    def __call__(self, image: Image.Image) -> torch.Tensor:
        pixels = np.array(image.convert("RGB"), dtype=np.uint8)
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().to(torch.float32).div(255)


class Normalize:
    """Each channel less its mean, by its standard deviation."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1)
        self.std = torch.tensor(std, dtype=torch.float32).view(-1, 1, 1)

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.clone().sub_(self.mean).div_(self.std)


def imagenet() -> Compose:
    """What classifiers and segmenters trained on ImageNet expect."""
    return Compose([Resize(256), CenterCrop(224), ToTensor(), Normalize(IMAGENET_MEAN, IMAGENET_STD)])
