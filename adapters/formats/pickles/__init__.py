"""What a pickle holds, found without loading it, and the rule by which it may be loaded.

A pickle is a program for a small stack machine; loading one runs it, and it may import and call whatever it names.
`inspect` runs the same program on a machine on which every import gives a label and every call an empty record:
nothing is imported, no class is built, no array is read. What remains is the names, and the shape of the top object.
`load` then runs it for real, with the same rule enforced a second time at every opcode, so that a file on which the
two machines differed would gain nothing.

The rule (`policy.py`). A pickle may *name* only what is listed there: classes of scikit-learn and its like and
a few inert functions; what a name leads to must be what the list takes it for, at home where its name says. It may
*call* far less: the functions and types by which those libraries really rebuild their values (an array from its
bytes, a tree from its nodes), with arguments such as they give. Every other class is only made by `__new__` and given
its state: no constructor runs, so one that opens a file or a socket is out of reach. What was named cannot be changed,
what was made cannot be called, attributes with reserved names (`__array_interface__`) cannot be set, names cannot
reach into others (`Class.method.__globals__`), and a type of array cannot lie about where it holds objects. Nothing
that may be called imports, evaluates, opens, or looks an attribute up by a name from the file. Where a library would
execute what it finds in its own state (scipy's distributions compile text), the object becomes an empty placeholder.

What native code takes on trust is checked where it could have other memory taken for objects (`arrays`, `natives`): an
object is given its state once, an array as many objects as it has places, and native classes are made as their own
pickles make them. What scikit-learn's parts say of each other is checked once they are loaded (`adapters.sklearn_`).

The rule is about code. It is no sandbox for native libraries: a hostile booster, or numbers that nobody thought of, can
still crash the process that loads or predicts with them, which is why models are tried in a process of their own.
"""

from __future__ import annotations

from adapters.formats.pickles.contents import Contents, inspect, load
from adapters.formats.pickles.policy import Refused
from adapters.formats.pickles.stream import Unreadable, opened

__all__ = ["Contents", "Refused", "Unreadable", "inspect", "load", "opened"]
