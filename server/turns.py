"""Whether several models are asked at the same time: then none may keep the event loop for long."""

from __future__ import annotations

from dataclasses import dataclass

#: seconds after the last change of the model that was asked until one counts as being alone
LATELY = 1.0
#: answers that a model writes in one turn of the event loop while others are asked, too: some 20 µs each
AT_ONCE = 4


@dataclass(eq=False)
class Turns:
    """Told of every request. A model alone writes all its answers at once, which is faster by a tenth."""

    _latest: int = 0  #: by its identity: a model that is unloaded must not be kept
    _changed: float = -LATELY

    def asked(self, model: int, now: float) -> None:
        """A request for this model has come."""
        if model != self._latest:
            self._latest, self._changed = model, now

    def shared(self, now: float) -> bool:
        """Others are asked, too."""
        return now - self._changed < LATELY


#: of the server's event loop
TURNS = Turns()
