"""The kinds of array this room speaks of."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool]
Words = npt.NDArray[np.uint64]
