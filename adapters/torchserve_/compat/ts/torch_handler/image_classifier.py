"""Images to their most probable classes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from ..handler_utils.timer import timed
from ..utils.util import map_class_to_label
from .image_processing import imagenet
from .vision_handler import VisionHandler


class ImageClassifier(VisionHandler):
    """The `topk` classes with their probabilities; fewer where the model knows fewer."""

    topk = 5
    image_processing = imagenet()

    def set_max_result_classes(self, topk: int) -> None:
        self.topk = topk

    def get_max_result_classes(self) -> int:
        return self.topk

    @timed
    def postprocess(self, data: Any) -> list[dict[str, float]]:
        probabilities, classes = torch.topk(F.softmax(data, dim=1), min(self.topk, data.shape[1]), dim=1)
        return map_class_to_label(probabilities.tolist(), self.mapping, classes.tolist())
