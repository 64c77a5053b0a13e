"""PolyServe whose bodies of many numbers are all read by orjson."""

from __future__ import annotations

import sys

from server.__main__ import main
from server.codec.fast import json_arrays

if __name__ == "__main__":
    json_arrays.MIN_BODY = sys.maxsize
    main()
