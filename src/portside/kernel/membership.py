"""Which numbers are among others. numpy's own ``isin`` loads numpy.ma for it, which takes 8 MB."""

from typing import Any

import numpy as np
import numpy.typing as npt


def are_in(values: npt.NDArray[np.integer[Any]], among: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
    """Which of the values are among others, which need no order."""
    if not len(among):
        return np.zeros(len(values), bool)
    ordered = np.sort(among)
    places = np.searchsorted(ordered, values)
    places[places == len(ordered)] = 0
    found: npt.NDArray[np.bool_] = ordered[places] == values
    return found
