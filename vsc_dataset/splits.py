"""The one split that a question belongs to, from its text alone.

The canonical form has neither layout nor orientation: tokens "1>2" (smaller position first), "-3",
"+12" for the operations, single characters for the letters. So a question, however written, is in
one split of every configuration, and no held-out question is ever in anybody's training data.
"""

from collections.abc import Iterable

from vsc_dataset.generator.hashing import MASK_64, mix64
from vsc_dataset.language import Operation, Program, parse

SPLITS = ("train", "validation", "test", "test_programs")

M_OPS = 0xD1342543DE82EF95
M_LET = 0xAF251AF3B0F025B5
SALT_P = 0x6A09E667F3BCC908
SALT_Q = 0xBB67AE8584CAA73B
BUCKET_SHIFT = 60
"""A bucket is the top 4 bits of a hash: one of 16."""

HELD_OUT_MIN_OPS = 3
HELD_OUT_MIN_POSITION = 3
"""Only a program of this many operations that names this position or a higher one is held out."""


def canonical(operation: Operation) -> str:
    """Write the token of an operation, in which 2>1 and 1>2 are the same.

    >>> canonical(Operation(">", 12, 2)), canonical(Operation("+", 3))
    ('2>12', '+3')
    """
    kind, x, y = operation
    return f"{min(x, y)}>{max(x, y)}" if kind == ">" else f"{kind}{x}"


def token_value(token: str) -> int:
    """Read a token's ASCII bytes as a little-endian integer: what `poly` adds up."""
    return int.from_bytes(token.encode("ascii"), "little")


def poly(tokens: Iterable[str], multiplier: int) -> int:
    """Sum token i's value times multiplier^(i + 1), modulo 2^64.

    >>> poly(["A", "B"], 10)
    7250
    """
    h = 0
    for token in reversed(list(tokens)):
        h = (h + token_value(token)) * multiplier & MASK_64
    return h


def split_of(question: str) -> str:
    """Find the split of a question, in either layout.

    Returns:
      "train", "validation", "test" or "test_programs".
    Raises:
      ValueError: the question is malformed.

    >>> split_of("NPFKT:5>4 3>1") == split_of("NPFKT: 4>5, 1>3")
    True
    """
    return split_of_program(parse(question))


def split_of_program(program: Program) -> str:
    """Find the split of a question that has been parsed already."""
    operations = poly(map(canonical, program.operations), M_OPS)
    if may_be_held_out(program) and mix64(operations ^ SALT_P) >> BUCKET_SHIFT == 0:
        return "test_programs"
    question = (operations + poly(program.letters, M_LET)) & MASK_64
    bucket = mix64(question ^ SALT_Q) >> BUCKET_SHIFT
    return {0: "validation", 1: "test"}.get(bucket, "train")


def may_be_held_out(program: Program) -> bool:
    """Tell whether a program is long enough, and reaches far enough, to be held out as a whole."""
    positions = [max(operation.x, operation.y) for operation in program.operations]
    return len(positions) >= HELD_OUT_MIN_OPS and max(positions) >= HELD_OUT_MIN_POSITION
