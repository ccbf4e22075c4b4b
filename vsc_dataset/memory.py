"""A name and a shape -> an array whose memory is used again.

Fresh memory is slow: the system hands it out page by page, at the first touch, and that costs more
than most of what `sampling` does with it.
"""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Memory:
    """Arrays by name; what a name held before is overwritten."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[np.uint64]] = {}

    def array(self, name: str, *shape: int, dtype: Any = np.uint64) -> NDArray[Any]:
        """An array of this shape and type with anything in it.

        >>> Memory().array("codes", 5, 100, dtype=np.intp).shape
        (5, 100)
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        words = -(-size // 8)
        held = self._arrays.get(name)
        if held is None or held.size < words:
            held = self._arrays[name] = np.empty(words, np.uint64)
        return held[:words].view(np.uint8)[:size].view(dtype).reshape(shape)


_OWN = threading.local()


def own_memory() -> Memory:
    """This thread's memory."""
    if not hasattr(_OWN, "memory"):
        _OWN.memory = Memory()
    memory: Memory = _OWN.memory
    return memory
