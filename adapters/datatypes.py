"""The V2 datatypes and the numpy dtypes they stand for: one table and its computed inverse.

Source: Open Inference Protocol, "Tensor Data Types".
"""

from __future__ import annotations

import numpy as np

#: V2 datatype -> numpy dtype. BYTES elements are Python objects (``str``, ``bytes`` or ``None``).
NUMPY_OF: dict[str, np.dtype] = {
    "BOOL": np.dtype(np.bool_),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}

_DATATYPE_OF = {dtype: name for name, dtype in NUMPY_OF.items()}


def datatype_of(dtype: np.dtype) -> str:
    """The V2 datatype of a numpy dtype; strings, objects, dates and complex values travel as BYTES."""
    return _DATATYPE_OF.get(dtype.newbyteorder("="), "BYTES")
