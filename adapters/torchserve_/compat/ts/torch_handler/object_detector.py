"""Images to the objects in them."""

from __future__ import annotations

from typing import Any

from ..utils.util import map_class_to_label
from .image_processing import Compose, ToTensor
from .vision_handler import VisionHandler


class ObjectDetector(VisionHandler):
    """Objects above the `threshold`: `{label: box, "score": score}`."""

    image_processing = Compose([ToTensor()])
    threshold = 0.5

    def postprocess(self, data: Any) -> list[list[dict[str, Any]]]:
        return [self._objects(row) for row in data]

    def _objects(self, row: Any) -> list[dict[str, Any]]:
        kept = row["scores"] >= self.threshold
        found = zip(*(row[key][kept].tolist() for key in ("labels", "boxes", "scores")), strict=True)
        return [
            {**map_class_to_label([[box]], self.mapping, [[label]])[0], "score": score} for label, box, score in found
        ]
