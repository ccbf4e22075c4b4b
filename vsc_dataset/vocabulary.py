"""The ids that each layout writes: the bytes of a text, or one token for each operation.

The 731 tokens are fixed for ever, so that checkpoints travel: 0 mask, 1 padding, 2 separator, 3-28
the letters, 29-678 the swaps (x, y) by x then y, 679-704 "-x", 705-730 "+x".
"""

from dataclasses import dataclass
from itertools import permutations
from string import ascii_uppercase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.language import LAYOUTS, TOKENS, Operation, Program

MASK = 0
"""The id in the answer field of a model's input, in every layout."""

PAD = ord(" ")
"""The id of padding in layouts that are texts."""

IGNORED = -100
"""The label that torch's losses, and the models of transformers, do not count."""

OBJECTIVES = ("fill", "next-token", "scratchpad")
"""What a model is trained to do: fill the answer field at once, or predict the next id, of the
answer or of the scratchpad and the answer."""

TOKEN_PAD, TOKEN_SEPARATOR, FIRST_LETTER = 1, 2, 3
POSITIONS = range(1, 27)
OPERATIONS = [
    *(Operation(">", x, y) for x, y in permutations(POSITIONS, 2)),
    *(Operation(kind, x) for kind in "-+" for x in POSITIONS),
]
"""Those that have a token, in the order of their ids."""

FIRST_OPERATION = FIRST_LETTER + len(ascii_uppercase)
OPERATION_IDS = {operation: i for i, operation in enumerate(OPERATIONS, FIRST_OPERATION)}

TOKEN_TEXTS = ["\0", " ", ":", *ascii_uppercase, *map(str, OPERATIONS)]
"""What each token stands for; of the mask and of padding what a byte row has there."""


@dataclass(frozen=True)
class Vocabulary:
    """The ids of one layout.

    Attributes:
      size: ids are below it.
      dtype: of arrays of ids.
      pad: the id of padding, in the answer field and after it.
      letter_shift: a letter's id less the byte of its capital.
      after_letters, between_operations, before_answer: ids of the separators.
    """

    size: int
    dtype: type[np.unsignedinteger[Any]]
    pad: int
    letter_shift: int
    after_letters: tuple[int, ...]
    between_operations: tuple[int, ...]
    before_answer: tuple[int, ...]

    @property
    def id_bytes(self) -> int:
        """Bytes of an id in an array."""
        return np.dtype(self.dtype).itemsize

    def letter_ids(self, letters: str) -> list[int]:
        """Write letters.

        >>> VOCABULARIES["tokens"].letter_ids("ACZ")
        [3, 5, 28]
        """
        return [ord(letter) + self.letter_shift for letter in letters]

    def operation_ids(self, operation: Operation) -> list[int]:
        """Write an operation.

        >>> VOCABULARIES["compact"].operation_ids(Operation(">", 1, 2))
        [49, 62, 50]
        >>> VOCABULARIES["tokens"].operation_ids(Operation(">", 1, 2))
        [29]
        """
        is_text = self.size == BYTES
        return list(str(operation).encode()) if is_text else [OPERATION_IDS[operation]]

    def prompt_ids(self, program: Program) -> list[int]:
        """Write a question and the separator after it."""
        if self.size == BYTES:
            return list(program.prompt.encode())
        operations = [OPERATION_IDS[operation] for operation in program.operations]
        letters = self.letter_ids(program.letters)
        return [*letters, *self.after_letters, *operations, *self.before_answer]


BYTES = 256
"""Ids of the layouts that are texts."""

VOCABULARIES = {
    name: Vocabulary(BYTES, np.uint8, PAD, 0, *(tuple(part.encode()) for part in layout))
    for name, layout in LAYOUTS.items()
    if name != TOKENS
}
VOCABULARIES[TOKENS] = Vocabulary(
    size=len(TOKEN_TEXTS),
    dtype=np.uint16,
    pad=TOKEN_PAD,
    letter_shift=FIRST_LETTER - ord("A"),
    after_letters=(TOKEN_SEPARATOR,),
    between_operations=(),
    before_answer=(TOKEN_SEPARATOR,),
)

_CHARACTERS = np.array([ord(t) if len(t) == 1 else ord("?") for t in TOKEN_TEXTS], np.uint8)


def to_characters(ids: NDArray[np.integer], layout: str) -> NDArray[np.uint8]:
    """Convert the ids of an answer field to bytes of a text; what is neither letter nor padding
    of the layout `tokens` becomes `?` (operations), `:` or a zero byte.

    >>> to_characters(np.array([3, 1, 29]), "tokens").tobytes()
    b'A ?'
    """
    if layout == TOKENS:
        return _CHARACTERS[ids]
    return ids.astype(np.uint8, copy=False)


_WIDEST = max(map(len, TOKEN_TEXTS)) + 1
_TEXTS = np.array(
    [list((" " * (len(text) > 1) + text).encode().ljust(_WIDEST, b"\0")) for text in TOKEN_TEXTS],
    np.uint8,
)  # operations with the space before them


def question_characters(
    labels_NxL: NDArray[np.integer],
    ends_N: NDArray[np.integer],
    length_N: NDArray[np.integer],
    layout: str,
) -> tuple[NDArray[np.uint8], NDArray[np.integer]]:
    """Write the questions of rows as bytes; those of the layout `tokens` as in `compact`.

    Args:
      labels_NxL: the true ids at every position.
      ends_N: where each question ends.
      length_N: the number of letters.
      layout: of the rows.
    Returns:
      The bytes of all questions, one after the other, and how many each has, (N,).
    """
    count, width = labels_NxL.shape
    is_question_NxL = np.arange(width) < ends_N[:, None]
    if layout != TOKENS:
        return labels_NxL[is_question_NxL].astype(np.uint8, copy=False), ends_N
    text_NxLxT = _TEXTS[labels_NxL * is_question_NxL]
    text_NxLxT[np.arange(count), length_N.astype(np.intp) + 1, 0] = 0  # none before the first
    written = text_NxLxT != 0
    return text_NxLxT[written], written.sum(axis=(1, 2))
