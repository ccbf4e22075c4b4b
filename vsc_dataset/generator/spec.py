"""What shapes the samples of a split: their key, and the radices of their digits."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

from vsc_dataset.generator.hashing import assign_halves, make_key

Range = tuple[int, int]

MAX_ATTEMPTS = 4096
MAX_ATTEMPTS_COMPLETE = 2**20
"""A program that executes all that was planned can be rare; see `SampleSpec.complete_share`."""

CHANGES = {">": 0, "-": -1, "+": 1}
"""What an operation adds to the number of letters present."""


@dataclass(frozen=True)
class SampleSpec:
    """All that shapes the samples of one split: the fields that their key is made of.

    Args:
      length, nops: lowest and highest.
      operators, weights, num_items: as in TaskConfig.
      split: the split that a sample's question must be of.
      complete: a sample must execute all planned operations.
      fixed_letters: the letters are the first capitals, in order; none is drawn.
    """

    length: Range
    nops: Range
    operators: str
    weights: tuple[int, ...]
    num_items: int
    split: str
    complete: bool = False
    fixed_letters: bool = False

    def key(self, seed: int = 0) -> int:
        """Hash the fields. The seed enters for `train` alone: held-out samples never move."""
        weights = ",".join(map(str, self.weights))
        return make_key(
            f"vsc length={self.length[0]}-{self.length[1]} nops={self.nops[0]}-{self.nops[1]} "
            f"operators={self.operators} weights={weights} num_items={self.num_items} "
            f"split={self.split} seed={seed if self.split == 'train' else 0}"
            + (" complete" if self.complete else "")
            + (" fixed_letters" if self.fixed_letters else "")
        )

    def kind_weights(self, num_letters: int, stack_depth: int) -> dict[str, int]:
        """Select the kinds of operations that are possible now, with their weights."""
        possible = {">": num_letters >= 2, "-": num_letters >= 1, "+": num_letters and stack_depth}
        pairs = zip(self.operators, self.weights, strict=True)
        return {kind: weight for kind, weight in pairs if possible[kind]}

    def operation_radix(self, num_letters: int, stack_depth: int) -> int:
        """Count the values of an operation's digit: weights times ordered pairs of positions."""
        weight = sum(self.kind_weights(num_letters, stack_depth).values())
        return weight * max(1, num_letters * (num_letters - 1))

    @cached_property
    def halves(self) -> list[int]:
        """The half of each digit: length, nops, operations, letters (see `assign_halves`)."""
        (length_lo, length_hi), (nops_lo, nops_hi) = self.length, self.nops
        operation = max(self.operation_radix(n, 1) for n in range(1, length_hi + 1))
        letters = [] if self.fixed_letters else [self.num_items - i for i in range(length_hi)]
        ranges = [length_hi - length_lo + 1, nops_hi - nops_lo + 1]
        return assign_halves([*ranges, *[operation] * nops_hi, *letters])

    @property
    def words_per_attempt(self) -> int:
        """W: the 64-bit words that one attempt uses."""
        return self.halves[-1] // 2 + 1

    @property
    def max_attempts(self) -> int:
        """Attempts at a sample before it is an error."""
        return MAX_ATTEMPTS_COMPLETE if self.complete else MAX_ATTEMPTS

    def complete_share(self, nops: int) -> float:
        """Compute the share of draws of `nops` planned operations that execute all of them.

        The lowest share over all lengths: a sample keeps the length that it was drawn with.
        """
        lengths, most = range(self.length[0], self.length[1] + 1), max(nops, self.nops[1])
        return min(_executed_shares(self, length, most)[nops] for length in lengths)

    def too_rare(self, length: int, nops: int) -> ValueError:
        """Make the error of a sample for which no attempt fell into the split."""
        return ValueError(
            f"no question of length {length} and nops {nops} fell into split {self.split!r} in "
            f"{self.max_attempts} attempts: allow more letters or operations, or leave the split "
            f"out (num_{self.split}=0)"
        )


@lru_cache(maxsize=256)  # configurations of the same settings ask again and again
def _executed_shares(spec: SampleSpec, length: int, most: int) -> list[float]:
    """Compute for 0 to `most` planned operations the share of draws that execute them all."""
    states, shares = {(length, 0): 1.0}, [1.0]
    for _ in range(most):
        following: dict[tuple[int, int], float] = {}
        for (n, depth), share in states.items():
            weights = spec.kind_weights(n, depth)
            for kind, weight in weights.items():
                after = n + CHANGES[kind], depth - CHANGES[kind]
                drawn = share * weight / sum(weights.values())
                following[after] = following.get(after, 0.0) + drawn
        states = following
        shares.append(sum(states.values()))
    return shares
