"""Pickles that try to leave a mark: a file that appears where they are loaded as usual."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer


class Calls:
    """Its pickle calls whatever it is told to."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.reduction = (function, args)

    def __reduce__(self) -> Any:
        return self.reduction


def touching(mark: Path) -> Calls:
    return Calls(os.system, f"touch {mark}")


def nested(mark: Path) -> dict[str, Any]:
    """By the place they are hidden in, objects whose pickles leave the mark."""
    attack = touching(mark)
    model = LogisticRegression()
    model.coef_ = attack
    array = np.array([1, attack, "a"], dtype=object)
    return {
        "at the top": attack,
        "in a list": [1, [2, [attack]]],
        "in a dictionary": {"a": {"b": attack}},
        "in a tuple": (1, (2, attack)),
        "in an estimator": model,
        "in a pipeline": Pipeline([("a", FunctionTransformer(func=attack)), ("b", model)]),
        "in an array of objects": array,
        "in an array in an estimator": Pipeline([("a", FunctionTransformer(kw_args={"x": array}))]),
    }


def _stack_global(module: str, name: str) -> bytes:
    return b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)) + b"\x93"


def _text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def crafted(mark: Path) -> dict[str, bytes]:
    """By name, pickles written opcode by opcode; every one leaves the mark when Python's own `pickle` loads it."""
    shell, code = _text(f"touch {mark}"), f"open({str(mark)!r}, 'w').close()"
    call = b"cposix\nsystem\n" + shell + b"\x85R"
    framed = _stack_global("posix", "system") + shell + b"\x85R."
    return {
        "GLOBAL": b"\x80\x02" + call + b".",
        "STACK_GLOBAL": b"\x80\x04" + framed,
        "a name through another": b"\x80\x04" + _stack_global("shutil", "os.system") + shell + b"\x85R.",
        "INST": f"(S'touch {mark}'\niposix\nsystem\n.".encode(),
        "OBJ": b"\x80\x02(cposix\nsystem\n" + shell + b"o.",
        "eval of Python 2": b"c__builtin__\neval\n(S" + repr(code).encode() + b"\ntR.",
        "thrown away": b"\x80\x02" + call + b"0K\x01.",
        "from the memo": b"\x80\x02cposix\nsystem\nq\x000h\x00" + shell + b"\x85R.",
        "as a key": b"\x80\x02}" + call + b"K\x01s.",
        "as a state": b"\x80\x02csklearn.base\nBaseEstimator\n)\x81}X\x01\x00\x00\x00a" + call + b"sb.",
        "in a frame": b"\x80\x04\x95" + len(framed).to_bytes(8, "little") + framed,
        "newer opcodes without a protocol": framed,
        "getattr": b"\x80\x02cbuiltins\ngetattr\ncshutil\nos\nX\x06\x00\x00\x00system\x86R" + shell + b"\x85R.",
        "before another pickle": b"\x80\x02" + call + b"." + pickle.dumps({"a": 1}),
    }


def through_libraries(mark: Path) -> dict[str, bytes]:
    """Pickles that reach code through the libraries whose classes are allowed."""
    shell = _text(f"touch {mark}")
    path = _text(str(mark))
    new = b"\x80\x02csklearn.linear_model._logistic\nLogisticRegression\n)\x81"
    template = _text(f"import os\nos.system('touch {mark}')\ndef _parse_args(self): pass\n")
    return {
        "a ufunc by its name": b"\x80\x02cnumpy.core\n_ufunc_reconstruct\nX\x02\x00\x00\x00os"
        b"X\x06\x00\x00\x00system\x86R" + shell + b"\x85R.",
        "numpy.memmap": b"\x80\x02cnumpy\nmemmap\n" + path + b"X\x02\x00\x00\x00u1X\x02\x00\x00\x00w+K\x00K\x04tR.",
        "numpy.memmap by __new__": b"\x80\x02cnumpy\nmemmap\n(" + path + b"X\x02\x00\x00\x00u1X\x02\x00\x00\x00w+K\x00"
        b"K\x04t\x81.",
        "numpy.savetxt": b"\x80\x02cnumpy\nsavetxt\n" + path + b"]\x86R.",
        "numpy.testing": b"\x80\x02cnumpy.testing._private.utils\nrunstring\n" + _text("import os") + b"}\x86R.",
        "joblib's old array": b"\x80\x02cjoblib.numpy_pickle_compat\nNDArrayWrapper\n)\x81.",
        "joblib.Memory": b"\x80\x02cjoblib.memory\nMemory\n" + path + b"\x85R.",
        "joblib's cloudpickle": b"\x80\x02cjoblib.externals.cloudpickle.cloudpickle\nsubimport\n"
        + _text("os")
        + b"\x85R.",
        "pandas.eval": b"\x80\x02cpandas.core.computation.eval\neval\n" + _text("1+1") + b"\x85R.",
        "pandas.read_pickle": b"\x80\x02cpandas.io.pickle\nread_pickle\n" + path + b"\x85R.",
        "functools.partial": b"\x80\x02cfunctools\npartial\ncposix\nsystem\n\x85R.",
        "partial of another function": b"\x80\x02cfunctools\npartial\ncnumpy\nmean\n\x85R.",
        "partial exchanged": b"\x80\x02cfunctools\npartial\ncsklearn.utils.validation\ncheck_array\n\x85R"
        b"(cnumpy\nmean\n)}Ntb.",
        "operator.methodcaller": b"\x80\x02coperator\nmethodcaller\n" + _text("system") + b"\x85R.",
        "a module as a class": b"\x80\x02csklearn.pipeline\nos\n.",
        "a class that sklearn imported": b"\x80\x02csklearn.pipeline\nParallel\n)\x81.",
        "sklearn's tests": b"\x80\x02csklearn.tree.tests.test_tree\nDecisionTreeClassifier\n)\x81.",
        "sklearn's test tools": b"\x80\x02csklearn.utils._testing\nTempMemmap\n)\x81.",
        "a constructor": b"\x80\x02csklearn.linear_model._logistic\nLogisticRegression\n)R.",
        "a constructor through copyreg": b"\x80\x02ccopyreg\n_reconstructor\ncxgboost.core\nBooster\n"
        b"cxgboost.core\nBooster\n" + path + b"\x87R.",
        "a function that is only held": b"\x80\x02cnumpy\nmean\n]K\x01a\x85R.",
        "an object as a function": new + b")R.",
        "a class changed": b"\x80\x02csklearn.linear_model._logistic\nLogisticRegression\nN}X\x07\x00\x00\x00predict"
        b"cnumpy\nmean\ns\x86b.",
        "an instance's idea of its state": new + b"}X\x0c\x00\x00\x00__setstate__cnumpy\ndtype\nsb.",
        "memory by its address": new + b"}X\x13\x00\x00\x00__array_interface__}sb.",
        "a Bunch's memory by its address": b"\x80\x02csklearn.utils._bunch\nBunch\n)\x81X\x13\x00\x00\x00"
        b"__array_interface__}s.",
        "a type that hides objects": b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00V8\x89\x88\x87R(K\x03X\x01\x00\x00\x00|N"
        b"X\x01\x00\x00\x00a\x85}X\x01\x00\x00\x00acnumpy\ndtype\nX\x02\x00\x00\x00O8\x89\x88\x87RK\x00\x86sK\x08K\x01K\x00tb.",
        "a distribution's source": b"\x80\x02cscipy.stats._continuous_distns\nnorm_gen\n)\x81}X\x13\x00\x00\x00"
        b"_parse_arg_template" + template + b"sb.",
        "a generator's maker": b"\x80\x02cnumpy.random._pickle\n__bit_generator_ctor\n"
        b"csklearn.linear_model._logistic\nLogisticRegression\n\x85R.",
        "getattr for other than a distribution": b"\x80\x02cbuiltins\ngetattr\nX\x01\x00\x00\x00a"
        b"X\x05\x00\x00\x00upper\x86R.",
        "getattr as a value": new + b"}X\x01\x00\x00\x00acbuiltins\ngetattr\nsb.",
        "gigabytes of zeros": b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
        "gigabytes of nothing": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        b"J\xff\xff\xff\x7f\x85X\x01\x00\x00\x00O\x87R.",
        "gigabytes by __new__": b"\x80\x02cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85\x85\x81.",
        "a set of a range": b"\x80\x02cbuiltins\nset\ncbuiltins\nrange\nJ\xff\xff\xff\x7f\x85R\x85R.",
        "append to an object": new + b"K\x01a.",
        "a persistent id": b"\x80\x02X\x01\x00\x00\x00aQ.",
        "a persistent id in text": b"Pname\n.",
        "an extension code": b"\x80\x02\x82\x07.",
        "an array outside the file": b"\x80\x05\x97.",
    }
