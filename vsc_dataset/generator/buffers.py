"""Arrays whose memory is used again.

Fresh memory is slow: the system hands it out page by page, at the first touch, and that costs more
than most of what `sampling` does with it.
"""

import math
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Buffers:
    """Arrays by name; a name's earlier contents are overwritten."""

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[np.uint64]] = {}

    def array(self, name: str, *shape: int, dtype: Any = np.uint64) -> NDArray[Any]:
        """Get an array of this shape and type with anything in it.

        >>> Buffers().array("codes", 5, 100, dtype=np.intp).shape
        (5, 100)
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        words = -(-size // 8)
        buffer = self._arrays.get(name)
        if buffer is None or buffer.size < words:
            buffer = self._arrays[name] = np.empty(words, np.uint64)
        return buffer[:words].view(np.uint8)[:size].view(dtype).reshape(shape)


class _Local(threading.local):
    """What each thread has of its own; pickled by name, as `datasets` does with what a map uses."""

    def __reduce__(self) -> str:
        return "_LOCAL"


_LOCAL = _Local()


def thread_buffers() -> Buffers:
    """Get this thread's buffers."""
    if not hasattr(_LOCAL, "buffers"):
        _LOCAL.buffers = Buffers()
    buffers: Buffers = _LOCAL.buffers
    return buffers
