"""Model input and labels as bytes, and their texts.

A row is the question, a separator and the answer field, padded with spaces: the field to
`answer_width` bytes, the row to L. The model's input has the byte MASK in the answer field.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.language import LAYOUTS, Program

MASK = 0
PAD = ord(" ")

ByteArray = NDArray[np.uint8]


@dataclass(frozen=True)
class Examples:
    """N samples as a model reads them.

    Attributes:
      input_ids: uint8 (N, L), the answer field as MASK.
      labels: uint8 (N, L), the true bytes at every position.
      answer_mask: bool (N, L), True in the answer field.
      length: uint8 (N,), the number of letters.
      nops: uint16 (N,), the operations that were executed.
      layout: "compact" or "spaced", how the rows are written.
    """

    input_ids: ByteArray
    labels: ByteArray
    answer_mask: NDArray[np.bool_]
    length: ByteArray
    nops: NDArray[np.uint16]
    layout: str = "compact"

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, samples: slice) -> "Examples":
        """View some of the samples.

        Raises:
          TypeError: one number: the arrays of one sample would have no N.
        """
        if isinstance(samples, Integral):
            end = samples + 1 or ""
            raise TypeError(f"examples[{samples}] has no rows: write examples[{samples}:{end}]")
        return Examples(
            self.input_ids[samples],
            self.labels[samples],
            self.answer_mask[samples],
            self.length[samples],
            self.nops[samples],
            self.layout,
        )

    def questions(self) -> list[str]:
        """Read the texts before the second colon."""
        separator = len(LAYOUTS[self.layout].before_answer)
        ends = self.answer_mask.argmax(axis=1) - separator
        texts = self.labels.tobytes().decode("ascii")
        width = self.labels.shape[1]
        return [texts[i * width : i * width + end] for i, end in enumerate(ends.tolist())]

    def answers(self) -> list[str]:
        """Read the answers, without padding."""
        width = int(self.answer_mask[:1].sum())
        return decode_answers(self.labels[self.answer_mask].reshape(len(self), width))


def decode_answers(answers_NxW: ByteArray) -> list[str]:
    """Read the texts of answer fields, without padding; bytes above 127 become Latin-1.

    >>> decode_answers(np.frombuffer(b"AB CAB", np.uint8).reshape(2, 3))
    ['AB', 'CAB']
    """
    count, width = answers_NxW.shape
    text = answers_NxW.tobytes().decode("latin-1")
    return [text[i * width : (i + 1) * width].rstrip(" ") for i in range(count)]


def encode(program: Program, width: int, answer_width: int) -> tuple[ByteArray, ByteArray]:
    r"""Encode one sample as model input and labels.

    Args:
      program: letters and operations; at most `width` bytes when printed with its answer field.
      width: L, in bytes.
      answer_width: bytes of the answer field.
    Returns:
      input_ids_L: uint8 (L,), the answer field as MASK.
      labels_L: uint8 (L,), the true bytes at every position.
    Raises:
      ValueError: the text needs more than `width` bytes, or the answer more than `answer_width`;
        the message gives both numbers.
    Source: the article's layout.

    >>> input_ids_L, labels_L = encode(Program("BA"), 8, 3)
    >>> input_ids_L.tobytes(), labels_L.tobytes()
    (b'BA::\x00\x00\x00 ', b'BA::BA  ')
    """
    if len(program.answer) > answer_width:
        raise ValueError(
            f"question {str(program)!r}: its answer has {len(program.answer)} letters, "
            f"the answer field {answer_width}"
        )
    prompt = program.prompt.encode("ascii")
    if len(prompt) + answer_width > width:
        raise ValueError(
            f"question {str(program)!r}: it needs {len(prompt) + answer_width} bytes with its "
            f"answer field, the row has {width}"
        )
    labels_L = np.full(width, PAD, np.uint8)
    text = prompt + program.answer.encode("ascii")
    labels_L[: len(text)] = np.frombuffer(text, np.uint8)
    input_ids_L = labels_L.copy()
    input_ids_L[len(prompt) : len(prompt) + answer_width] = MASK
    return input_ids_L, labels_L


def encode_all(programs: Sequence[Program], width: int, answer_width: int) -> Examples:
    """Encode samples of one layout as rows of one width; see `encode`."""
    rows = [encode(program, width, answer_width) for program in programs]
    input_ids_NxL = np.array([ids for ids, _ in rows], np.uint8).reshape(len(rows), width)
    return Examples(
        input_ids=input_ids_NxL,
        labels=np.array([labels for _, labels in rows], np.uint8).reshape(len(rows), width),
        answer_mask=input_ids_NxL == MASK,
        length=np.array([len(program.letters) for program in programs], np.uint8),
        nops=np.array([len(program.operations) for program in programs], np.uint16),
        layout=programs[0].layout if programs else "compact",
    )
