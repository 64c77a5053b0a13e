"""CatBoost's binary models: how long the vectors of their embedding features are, which CatBoost itself does not tell.

It takes vectors of any length, answers shorter ones by what lies behind them in memory, and crashes at empty ones. The
length stands with each calculation over such a feature (LDA, nearest neighbours), in FlatBuffers behind the trees:

    EmbedCalcerV1 0 0 0 | 4 bytes | size, 64 bits | {id, active features, kind, {length, ...}}

Source: catboost/private/libs/embedding_features/flatbuffers/embedding_feature_calcers.fbs.
"""

from __future__ import annotations

import struct

__all__ = ["embedding_lengths"]

_MARK = b"EmbedCalcerV1\0\0\0"
_BEHIND = len(_MARK) + 4 + 8  #: where the FlatBuffer begins
_CALCULATION, _LENGTH = 3, 0  #: fields: of a calcer the calculation, of that the vectors' length


def embedding_lengths(model: bytes) -> set[int]:
    """The lengths of vectors that a file's calculations take.

    Raises:
        ValueError: one of them cannot be read.
    """
    found, at = set(), model.find(_MARK)
    while at >= 0:
        try:
            calcer = _Table(model[at + _BEHIND :])
            found.add(calcer.below(_CALCULATION).number(_LENGTH))
        except struct.error as error:
            raise ValueError("a calculation over an embedding feature cannot be read") from error
        at = model.find(_MARK, at + 1)
    return found


class _Table:
    """A table of a FlatBuffer: its fields' places stand in another, before it."""

    def __init__(self, data: bytes, at: int | None = None) -> None:
        self._data = data
        self._at = self._whole("<I", 0) if at is None else at
        self._places = self._at - self._whole("<i", self._at)

    def _whole(self, form: str, at: int) -> int:
        if at < 0:
            raise ValueError("a calculation over an embedding feature is damaged")
        number: int = struct.unpack_from(form, self._data, at)[0]
        return number

    def _field(self, index: int) -> int:
        if self._whole("<H", self._places) < 6 + 2 * index or not (
            place := self._whole("<H", self._places + 4 + 2 * index)
        ):
            raise ValueError("a calculation over an embedding feature does not say how long vectors are")
        return self._at + place

    def below(self, index: int) -> _Table:
        at = self._field(index)
        return _Table(self._data, at + self._whole("<I", at))

    def number(self, index: int) -> int:
        return self._whole("<i", self._field(index))
