"""The 64-bit words of a sample, as Python integers and as numpy arrays, bit for bit equal.

The generator is counter-based: a word is a function of (key, index, j), so any sample of an endless
stream can be made alone. The mixer is SplitMix64's finalizer (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", 2014). These bits are frozen: a change of any of them
changes every sample, and is a new version of the dataset.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

UInt64Array = NDArray[np.uint64]

MASK_64 = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLY_1 = 0xBF58476D1CE4E5B9
_MULTIPLY_2 = 0x94D049BB133111EB

HALF_CAPACITY = 2**24
"""The product of the radices that share one 32-bit half: keeps each cell's bias below 2^-8."""


def mix64(z: int) -> int:
    """Apply SplitMix64's finalizer, a bijection of 64 bits.

    >>> hex(mix64(GOLDEN))
    '0xe220a8397b1dcdaf'
    """
    z ^= z >> 30
    z = z * _MULTIPLY_1 & MASK_64
    z ^= z >> 27
    z = z * _MULTIPLY_2 & MASK_64
    return z ^ z >> 31


def mix64_array(z: UInt64Array, scratch: UInt64Array) -> None:
    """Apply `mix64` to every element, in place; `scratch` has the same shape."""
    for shift, multiplier in ((30, _MULTIPLY_1), (27, _MULTIPLY_2), (31, None)):
        np.right_shift(z, np.uint64(shift), out=scratch)
        np.bitwise_xor(z, scratch, out=z)
        if multiplier is not None:
            np.multiply(z, np.uint64(multiplier), out=z)


def make_key(text: str) -> int:
    """Hash the description of a stream of samples: the first 8 bytes of its BLAKE2b.

    >>> hex(make_key("length 2-5"))
    '0x571bd788c4d4780e'
    """
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def sample_state(key: int, index: int) -> int:
    """Compute the state that all words of sample `index` start from."""
    return mix64((key + GOLDEN * index) & MASK_64)


def sample_state_array(
    key: int, indices_N: UInt64Array, out_N: UInt64Array, scratch_N: UInt64Array
) -> None:
    """Compute `sample_state` of every index into `out_N`."""
    np.multiply(indices_N, np.uint64(GOLDEN), out=out_N)
    np.add(out_N, np.uint64(key), out=out_N)
    mix64_array(out_N, scratch_N)


def word(state: int, j: int) -> int:
    """Compute word j of a sample, of 64 bits; word 0 is the sample's state itself."""
    return mix64((state + GOLDEN * j) & MASK_64) if j else state


def assign_halves(radices: Sequence[int]) -> list[int]:
    """Assign each digit the 32-bit half that it is drawn from.

    A new half begins where the product of the largest radices would pass HALF_CAPACITY. Half h is
    the high (h even) or low (h odd) part of word h // 2.

    Args:
      radices: the largest radix of each digit, in the order of drawing.

    >>> assign_halves([20] * 5 + [26, 25, 24, 23, 22])
    [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
    """
    halves, half, product = [], 0, 1
    for radix in radices:
        if product * radix > HALF_CAPACITY:
            half, product = half + 1, 1
        product *= radix
        halves.append(half)
    return halves
