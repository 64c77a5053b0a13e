"""Who is asked at the same time, and what a turn of the event loop may hold then.

A model alone may keep the loop for as long as it likes: all of a turn's bodies are decoded, all answers of a call are
written at once, and that is the fastest. While several are asked, none may keep it for long. And while one of them is
asked only a little, so that its callers wait for nothing but the others, the others' turns are as short as they can be,
and their threads leave one core (`dispatch`); models that are all flooded would only get slower by that.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from server.reading import Reading

#: seconds after the last change of the model that was asked until one counts as being alone
LATELY = 1.0
#: answers that a model writes in one turn of the event loop while others are asked, too: some 20 µs each
AT_ONCE = 8
#: the same while another is asked only a little
AT_ONCE_BESIDE_FEW = 2
#: requests of a model that wait when one more comes, at most, and for how many in a row, so that it is asked a little
FEW, IN_A_ROW = 4, 16


@dataclass(eq=False)
class Turns:
    """Told of every request. Models are known by their identities: one that is unloaded must not be kept."""

    reading: Reading = field(default_factory=Reading)
    _latest: int = 0
    _changed: float = -LATELY
    _little: int = 0  #: the model that was asked a little last, and when
    _little_at: float = -LATELY
    _little_before: float = -LATELY  #: when another one than that was

    def asked(self, model: int, now: float) -> None:
        """A request for this model has come."""
        if model != self._latest:
            self._latest, self._changed = model, now

    def asked_little(self, model: int, now: float) -> None:
        """A request for this model has come, and as before hardly any of its others waited."""
        if model != self._little:
            self._little, self._little_before = model, self._little_at
        self._little_at = now

    def shared(self, now: float) -> bool:
        """Several models are asked."""
        return now - self._changed < LATELY

    def beside_few(self, model: int, now: float) -> bool:
        """Another model is asked, and only a little."""
        return now - (self._little_before if model == self._little else self._little_at) < LATELY

    def at_once(self, model: int, now: float) -> int:
        """Answers that this model may write in one turn; 0: all."""
        if not self.shared(now):
            return 0
        return AT_ONCE_BESIDE_FEW if self.beside_few(model, now) else AT_ONCE


#: of the server's event loop
TURNS = Turns()
