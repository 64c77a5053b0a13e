"""Images to the class of each pixel."""

from __future__ import annotations

from typing import Any

import torch

from .image_processing import imagenet
from .vision_handler import VisionHandler


class ImageSegmenter(VisionHandler):
    """For each pixel its most probable class and the probability: [height, width, 2]."""

    image_processing = imagenet()

    def postprocess(self, data: Any) -> list[Any]:
        best = torch.max(torch.nn.functional.softmax(data["out"], dim=1), dim=1)
        result: list[Any] = torch.stack([best.indices.type(best.values.dtype), best.values], dim=3).tolist()
        return result
