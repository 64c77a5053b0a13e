"""`@timed`: TorchServe's way to measure a handler's methods."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any


def timed(func: Callable[..., Any]) -> Callable[..., Any]:
    """Report the method's time (ms) to the model's metrics where `handler: {profile: true}` asks for it."""

    @functools.wraps(func)
    def measured(self: Any, *args: Any, **kwargs: Any) -> Any:
        config = getattr(getattr(self, "context", None), "model_yaml_config", None) or {}
        if not (config.get("handler") or {}).get("profile", False):
            return func(self, *args, **kwargs)
        start = time.perf_counter()
        result = func(self, *args, **kwargs)
        self.context.metrics.add_time(f"ts_handler_{func.__name__}", (time.perf_counter() - start) * 1000)
        return result

    return measured
