"""Examples -> labels that also ask for the letters after each operation: dense supervision."""

import numpy as np
from numpy.typing import NDArray

from vsc_dataset import Examples, parse
from vsc_dataset.language import LAYOUTS, Program


def trace_labels(examples: Examples, ignored: int) -> NDArray[np.int64]:
    """The answer field's true bytes, and at each operation the letters that it moves.

    The last byte of an operation asks for the letter that it puts at its last position (of `-x`,
    the letter that it takes), the byte behind an exchange for the one that it puts at its first:
    a model that reads from left to right can know both there. So nothing is added to a row or to
    a model, and the answer is asked as ever.

    Args:
      examples: N questions.
      ignored: the label of all other bytes.
    Returns:
      (N, L).

    >>> from vsc_dataset import sample
    >>> example = sample("swap-nops2", "train", [0])
    >>> example.questions(), example.answers()
    (['FJTOW:3>1 2>1'], ['JTFOW'])
    >>> "".join(chr(byte) if byte > 0 else "." for byte in trace_labels(example, -100)[0])
    '........TF..JTJTFOW'
    """
    labels = np.where(examples.answer_mask, examples.labels, np.int64(ignored))
    for row, question in enumerate(examples.questions()):
        for place, letter in asked_places(parse(question)):
            labels[row, place] = ord(letter)
    return labels


def asked_places(program: Program) -> list[tuple[int, str]]:
    """Bytes of the written question, each with the letter that is asked for there."""
    layout = LAYOUTS[program.layout]
    found: list[tuple[int, str]] = []
    end, before = len(program.letters + layout.after_letters), program.letters
    for operation, after in zip(program.operations, program.trace, strict=True):
        end += len(str(operation))
        x, y = operation.x - 1, operation.y - 1
        if operation.kind == ">":
            found += [(end - 1, after[y]), (end, after[x])]
        else:
            found.append((end - 1, (before if operation.kind == "-" else after)[x]))
        end, before = end + len(layout.between_operations), after
    return found
