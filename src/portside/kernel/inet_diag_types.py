"""The structures of ``inet_diag.py`` as numpy types."""

import numpy as np
import numpy.typing as npt

from portside.kernel.inet_diag import BASE_BYTES, BASE_FIELDS, INFO_BYTES, INFO_FIELDS

Rows = npt.NDArray[np.void]
"""A structured array: one socket a row."""

BASE = np.dtype(
    {
        "names": list(BASE_FIELDS),
        "formats": [
            "u1", "u1", "u1", "u1", ">u2", ">u2", ("u1", 16), ("u1", 16),
            "u4", "u4", "u4", "u4", "u4", "u4", "u4", "u4",
        ],
        "offsets": [0, 1, 2, 3, 4, 6, 8, 24, 40, 44, 48, 52, 56, 60, 64, 68],
        "itemsize": BASE_BYTES,
    }
)  # fmt: skip

INFO = np.dtype(
    {
        "names": [name for name, _, _ in INFO_FIELDS],
        "formats": [kind for _, kind, _ in INFO_FIELDS],
        "offsets": [offset for _, _, offset in INFO_FIELDS],
        "itemsize": INFO_BYTES,
    }
)
