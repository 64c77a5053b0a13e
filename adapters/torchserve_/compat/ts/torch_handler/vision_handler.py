"""The base of handlers that take images."""

from __future__ import annotations

import base64
import io
from abc import ABC
from typing import Any

import torch
from PIL import Image

from ..handler_utils.timer import timed
from .base_handler import BaseHandler


class VisionHandler(BaseHandler, ABC):
    """A request is an image file's bytes, their base64, or a tensor as nested lists."""

    image_processing: Any

    def initialize(self, context: Any) -> None:
        super().initialize(context)
        if not context.system_properties.get("limit_max_image_pixels"):
            Image.MAX_IMAGE_PIXELS = None

    @timed
    def preprocess(self, data: list[Any]) -> torch.Tensor:
        return torch.stack([self._image(row) for row in data]).to(self.device)

    def _image(self, row: Any) -> torch.Tensor:
        image = (row.get("data") or row.get("body")) if isinstance(row, dict) else row
        if isinstance(image, str):
            image = base64.b64decode(image)
        if isinstance(image, bytes | bytearray):
            tensor: torch.Tensor = self.image_processing(Image.open(io.BytesIO(image)))
            return tensor
        return torch.FloatTensor(image)
