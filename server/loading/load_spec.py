"""How a model of this process is loaded once more, in another process: the same files, in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

from adapters import registry
from adapters.base import LoadError
from server.config.model_config import ModelConfig
from server.loading.catalog import Found
from server.loading.described_columns import as_described
from server.loading.files import FileStamp, FolderStamp, stamp_of
from server.loading.loader import Loaded
from server.loading.output_labels import with_labels
from server.loading.warming import warm
from server.runtime import logs
from server.workers.messages import WorkerModel

_numbers = count(1)


@dataclass(frozen=True)
class LoadSpec:
    """Of one loaded version of a model."""

    name: str
    version: str
    model: WorkerModel  #: adapter, directory, file and options
    stamp: FolderStamp  #: of the files, from before they were loaded
    batchable: bool
    batching: bool
    max_batch_rows: int | None
    lanes: int | None
    number: int = field(default_factory=lambda: next(_numbers), compare=False)  #: no two loads have the same

    @classmethod
    def of(cls, found: Found, loaded: Loaded) -> Self | None:
        """Of a model that was loaded into this process; none of one that lives in processes of its own."""
        if loaded.model is None:
            return None
        config = loaded.config
        how = (loaded.batchable, config.batching, config.max_batch_rows, config.lanes)
        return cls(found.name, found.version, loaded.model, loaded.stamp, *how)

    def to_fields(self) -> dict[str, Any]:
        """Plain values."""
        plain = ("name", "version", "batchable", "batching", "max_batch_rows", "lanes", "number")
        stamp = {"files": dict(self.stamp.files), "problem": self.stamp.problem}
        return {"model": self.model.to_fields(), "stamp": stamp} | {name: getattr(self, name) for name in plain}

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The specification that `to_fields` wrote."""
        files = {path: FileStamp(*numbers) for path, numbers in fields["stamp"]["files"].items()}
        stamp = FolderStamp(files, fields["stamp"]["problem"])
        return cls(**{**fields, "model": WorkerModel.of(fields["model"]), "stamp": stamp})

    @property
    def found(self) -> Found:
        return Found(self.name, self.model.directory, version=self.version)

    def load(self) -> Loaded:
        """Load the model.

        Raises:
            LoadError: it cannot be loaded, or its files have changed.
        """
        model = self.model
        self._check()
        with logs.about(self.name):
            adapter = registry.get(model.adapter).load(model.directory, model.file, model.options)
        try:
            self._check()
        except LoadError:
            adapter.close()
            raise
        adapter.signature = with_labels(as_described(adapter.signature, model.directory), model.directory)
        warm(self.name, adapter)
        config = ModelConfig(batching=self.batching, max_batch_rows=self.max_batch_rows, lanes=self.lanes)
        return Loaded(adapter, config, self.batchable, seconds=0.0)

    def _check(self) -> None:
        if self.stamp.problem:
            raise LoadError(f"it cannot be told whether its files have changed: {self.stamp.problem}")
        if not self.stamp.is_still(stamp_of(self.model.directory)):
            raise LoadError("its files are no longer those that were loaded")
