"""The generator one sample at a time, slow and obvious.

What `sampling` does fast, written down as plainly as possible. The tests hold both equal.
"""

from collections.abc import Iterable
from string import ascii_uppercase

from vsc_dataset.configs import TaskConfig
from vsc_dataset.encoding import Samples, encode_all
from vsc_dataset.generator.hashing import sample_state, word
from vsc_dataset.generator.spec import CHANGES, SampleSpec
from vsc_dataset.language import Operation, Program
from vsc_dataset.splits import split_of_program


def sample(
    config: TaskConfig,
    split: str,
    indices: Iterable[int],
    seed: int = 0,
    pad_to: int | None = None,
    targets: bool = False,
    scratchpad: bool = False,
) -> Samples:
    """Generate samples of a split, one by one. The twin of `sampling.sample`: see there."""
    programs = [draw_program(config, split, index, seed) for index in indices]
    width = config.padded_width(pad_to, scratchpad)
    return encode_all(programs, width, config.answer_width, targets, scratchpad)


def draw_program(config: TaskConfig, split: str, index: int, seed: int = 0) -> Program:
    """Draw sample `index` of a split.

    Raises:
      ValueError: no such split, or no such question in spec.max_attempts attempts.

    >>> from vsc_dataset.configs import CONFIGS
    >>> str(draw_program(CONFIGS["swap-nops5"], "validation", 0))
    'ZIYFQ:5>3 5>1 1>2 5>4 5>2'
    """
    spec = config.sample_spec(split)
    state = sample_state(spec.key(seed), index)
    length, nops = Digits(spec, state, attempt=0).length_and_nops()
    for attempt in range(spec.max_attempts):
        digits = Digits(spec, state, attempt)
        digits.length_and_nops()  # of a later attempt: drawn and ignored
        operations = draw_operations(spec, digits, length, nops)
        program = Program(draw_letters(spec, digits, length), operations, config.layout)
        complete = len(operations) == nops or not spec.complete
        if complete and split_of_program(program) == spec.split:
            return program
    raise spec.too_rare(length, nops)


class Digits:
    """The digits of one attempt at one sample, in the order of drawing."""

    def __init__(self, spec: SampleSpec, state: int, attempt: int) -> None:
        first_word = attempt * spec.words_per_attempt
        words = [word(state, first_word + j) for j in range(spec.words_per_attempt)]
        self.fractions = [half for w in words for half in (w >> 32, w & 0xFFFFFFFF)]
        self.spec = spec

    def digit(self, position: int, radix: int) -> int:
        """Draw digit `position` of the order of drawing, from 0 to radix - 1."""
        half = self.spec.halves[position]
        product = self.fractions[half] * radix
        self.fractions[half] = product & 0xFFFFFFFF
        return product >> 32

    def length_and_nops(self) -> tuple[int, int]:
        """Draw the first two digits: number of letters, planned number of operations."""
        (length_lo, length_hi), (nops_lo, nops_hi) = self.spec.length, self.spec.nops
        length = length_lo + self.digit(0, length_hi - length_lo + 1)
        return length, nops_lo + self.digit(1, nops_hi - nops_lo + 1)


def draw_operations(
    spec: SampleSpec, digits: Digits, length: int, nops: int
) -> tuple[Operation, ...]:
    """Draw `nops` operations, fewer where no letter is left."""
    n, depth = length, 0
    operations = []
    for step in range(nops):
        if n == 0:
            break
        c = digits.digit(2 + step, spec.operation_radix(n, depth))
        pairs = max(1, n * (n - 1))
        kinds = [k for k, weight in spec.kind_weights(n, depth).items() for _ in range(weight)]
        kind, p = kinds[c // pairs], c % pairs
        x = p // (n - 1) if n > 1 else 0
        if kind == ">":
            y = p % (n - 1)
            operations.append(Operation(">", x + 1, y + 1 + (y >= x)))
            continue
        operations.append(Operation(kind, x + 1))
        n, depth = n + CHANGES[kind], depth - CHANGES[kind]
    return tuple(operations)


def draw_letters(spec: SampleSpec, digits: Digits, length: int) -> str:
    """Draw distinct capitals: digit i picks among those that remain, in alphabetical order."""
    if spec.fixed_letters:
        return ascii_uppercase[:length]
    remaining = list(ascii_uppercase[: spec.num_items])
    first = 2 + spec.nops[1]
    return "".join(
        remaining.pop(digits.digit(first + i, spec.num_items - i)) for i in range(length)
    )
