"""The class that counts is two steps from kserve.Model, one of them in another file; its pickle was made by a script."""

import pickle
from pathlib import Path

from base import Base


class Scale:
    def __init__(self, factor):
        self.factor = factor


class Intermediate(Base):
    def factor(self):
        raise NotImplementedError


class Inherited(Intermediate):
    def load(self):
        self.scale = pickle.loads(Path("scale.pkl").read_bytes())

    def factor(self):
        return self.scale.factor


if __name__ == "__main__":
    Path("scale.pkl").write_bytes(pickle.dumps(Scale(3)))
