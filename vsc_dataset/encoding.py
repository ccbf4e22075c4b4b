"""Model input and labels as ids, and their texts.

A row is the question, a separator and the answer field, padded: the field to `answer_width` ids,
the row to L. The model's input has the id MASK in the answer field. On request a row is a
scratchpad: before the answer it has the state after each operation, with an id of padding between
two states, and the separator; the input has the id MASK there too. An id is a byte of the text, or
a token of the layout `tokens` (see `vocabulary`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.language import TOKENS, Program, parse
from vsc_dataset.vocabulary import (
    MASK,
    VOCABULARIES,
    Vocabulary,
    question_characters,
    to_characters,
)

ByteArray = NDArray[np.uint8]
IdArray = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False)
class Samples:
    """N samples as a model reads them.

    Attributes:
      input_ids: uint8, of the layout `tokens` uint16 (N, L), the answer field as MASK.
      labels: likewise, the true ids at every position.
      answer_mask: bool (N, L), True in the answer field.
      length: uint8 (N,), the number of letters.
      nops: uint16 (N,), the operations that were executed.
      layout: how the rows are written.
      targets: on request, ids like `labels` (N, L): the dense target of each position, MASK where
        it has none. In bytes, the last id of `x>y` has the letter that is then at y and the id
        after it the letter at x; the last id of `+x` has the letter that is inserted, of `-x` the
        one that is taken out: a model that reads from left to right can know them there. Of
        `tokens`, the operation's one id has the letter that is then at x (`-x`: taken out).
    """

    input_ids: IdArray
    labels: IdArray
    answer_mask: NDArray[np.bool_]
    length: ByteArray
    nops: NDArray[np.uint16]
    layout: str = "compact"
    targets: IdArray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: slice) -> "Samples":
        """View some of the samples.

        Raises:
          TypeError: one number: the arrays of one sample would have no N.
        """
        if isinstance(index, Integral):
            end = index + 1 or ""
            raise TypeError(f"samples[{index}] has no rows: write samples[{index}:{end}]")
        return Samples(
            self.input_ids[index],
            self.labels[index],
            self.answer_mask[index],
            self.length[index],
            self.nops[index],
            self.layout,
            None if self.targets is None else self.targets[index],
        )

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Iterate over the samples as `load_dataset` gives them: question, answer, length, nops."""
        columns = self.questions(), self.answers(), self.length.tolist(), self.nops.tolist()
        for row in zip(*columns, strict=True):
            yield dict(zip(("question", "answer", "length", "nops"), row, strict=True))

    @property
    def vocabulary(self) -> Vocabulary:
        """The ids of the layout."""
        return VOCABULARIES[self.layout]

    @property
    def vocab_size(self) -> int:
        """Ids are below it: 256, of the layout `tokens` 731."""
        return self.vocabulary.size

    @property
    def answer_width(self) -> int:
        """W, the ids of the answer field; 0 of no samples."""
        return int(self.answer_mask[:1].sum())

    @property
    def completion_mask(self) -> NDArray[np.bool_]:
        """True where the input is MASK, bool (N, L): the answer field, and states before it."""
        mask_NxL: NDArray[np.bool_] = self.input_ids == MASK
        return mask_NxL

    @property
    def answer_start(self) -> NDArray[np.intp]:
        """The position where each answer field begins, (N,)."""
        return self.answer_mask.argmax(axis=1)

    @property
    def attention_mask(self) -> NDArray[np.bool_]:
        """True up to the end of the answer field, False on row padding, bool (N, L)."""
        ends_N = self.answer_start + self.answer_width
        mask_NxL: NDArray[np.bool_] = np.arange(self.labels.shape[1]) < ends_N[:, None]
        return mask_NxL

    def dense_targets(self) -> IdArray:
        """Return `targets`, made from the texts, slowly, of samples that came without."""
        if self.targets is not None:
            return self.targets
        programs = (parse(text, self.layout) for text in self.questions())
        rows = [encode_targets(program, self.labels.shape[1]) for program in programs]
        return np.array(rows, self.labels.dtype).reshape(self.labels.shape)

    def with_scratchpads(self) -> "Samples":
        """Return scratchpads of the same samples, made from the texts, slowly, if they are none.

        Raises:
          ValueError: a sample has no operation.
        """
        if not len(self) or self.completion_mask[0].sum() > self.answer_width:
            return self
        programs = [parse(text, self.layout) for text in self.questions()]
        before = len(self.vocabulary.before_answer)
        states = (sum(map(len, one.trace)) + len(one.trace) - 1 + before for one in programs)
        width = self.labels.shape[1] + max(states)
        return encode_all(programs, width, self.answer_width, scratchpad=True)

    def question_characters(self) -> tuple[ByteArray, NDArray[np.integer]]:
        """Write the questions as bytes, one after the other, and count the bytes of each, (N,)."""
        ends_N = self.completion_mask.argmax(axis=1) - len(self.vocabulary.before_answer)
        return question_characters(self.labels, ends_N, self.length, self.layout)

    def answer_characters(self) -> ByteArray:
        """Write the answer fields as bytes, (N, W), padded with spaces."""
        field_NxW = self.labels[self.answer_mask].reshape(len(self), self.answer_width)
        return to_characters(field_NxW, self.layout)

    def questions(self) -> list[str]:
        """Read the texts before the second colon."""
        characters, widths_N = self.question_characters()
        text, ends = characters.tobytes().decode("ascii"), np.cumsum(widths_N).tolist()
        return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]

    def answers(self) -> list[str]:
        """Read the answers, without padding."""
        return decode_answers(self.answer_characters())


def decode_answers(answers_NxW: NDArray[np.integer], layout: str = "compact") -> list[str]:
    """Read the texts of answer fields, without padding; bytes above 127 become Latin-1.

    >>> decode_answers(np.frombuffer(b"AB CAB", np.uint8).reshape(2, 3))
    ['AB', 'CAB']
    >>> decode_answers(np.array([[3, 4, 1]]), "tokens")
    ['AB']
    """
    count, width = answers_NxW.shape
    text = to_characters(answers_NxW, layout).tobytes().decode("latin-1")
    return [text[i * width : (i + 1) * width].rstrip(" ") for i in range(count)]


def encode(
    program: Program, width: int, answer_width: int, scratchpad: bool = False
) -> tuple[IdArray, IdArray]:
    r"""Encode one sample as model input and labels.

    Args:
      program: letters and operations, written in its layout.
      width: L, in ids.
      answer_width: ids of the answer field.
      scratchpad: write the state after each operation before the answer.
    Returns:
      input_ids_L: (L,), the answer field as MASK.
      labels_L: (L,), the true ids at every position.
    Raises:
      ValueError: the row needs more than `width` ids, or the answer more than `answer_width`;
        the message gives both numbers. Or a scratchpad has no operation.
    Source: the article's layout.

    >>> input_ids_L, labels_L = encode(Program("BA"), 8, 3)
    >>> input_ids_L.tobytes(), labels_L.tobytes()
    (b'BA::\x00\x00\x00 ', b'BA::BA  ')
    >>> encode(Program("BA", layout="tokens"), 8, 3)[1].tolist()
    [4, 3, 2, 2, 4, 3, 1, 1]
    >>> encode(parse("YNP:3>1 -3"), 24, 3, scratchpad=True)[1].tobytes()
    b'YNP:3>1 -3:PNY PN:PN    '
    """
    vocabulary = VOCABULARIES[program.layout]
    unit = "tokens" if program.layout == TOKENS else "bytes"
    if len(program.answer) > answer_width:
        raise ValueError(
            f"question {str(program)!r}: its answer has {len(program.answer)} letters, "
            f"the answer field {answer_width}"
        )
    prompt, states = vocabulary.prompt_ids(program), list[int]()
    if scratchpad:
        if not program.operations:
            raise ValueError(
                f"question {str(program)!r}: no operation, so its scratchpad would be empty"
            )
        for state in program.trace:
            states += [*vocabulary.letter_ids(state), vocabulary.pad]
        states[-1:] = vocabulary.before_answer
    end = len(prompt) + len(states) + answer_width
    if end > width:
        raise ValueError(
            f"question {str(program)!r}: it needs {end} {unit} with its answer field, "
            f"the row has {width}"
        )
    labels_L = np.full(width, vocabulary.pad, vocabulary.dtype)
    ids = prompt + states + vocabulary.letter_ids(program.answer)
    labels_L[: len(ids)] = ids
    input_ids_L = labels_L.copy()
    input_ids_L[len(prompt) : end] = MASK
    return input_ids_L, labels_L


def encode_targets(program: Program, width: int) -> IdArray:
    """Write the dense targets of one sample (see `Samples`), (L,).

    >>> from vsc_dataset.language import Operation
    >>> encode_targets(Program("YNP", (Operation("-", 3),), "tokens"), 8).tolist()
    [0, 0, 0, 0, 18, 0, 0, 0]
    """
    vocabulary = VOCABULARIES[program.layout]
    targets_L = np.full(width, MASK, vocabulary.dtype)
    end, before = len(program.letters) + len(vocabulary.after_letters), program.letters
    for operation, after in zip(program.operations, program.trace, strict=True):
        end += len(vocabulary.operation_ids(operation))
        kind, x, y = operation
        last, following = (before if kind == "-" else after)[x - 1], ""
        if kind == ">" and program.layout != TOKENS:
            last, following = after[y - 1], after[x - 1]
        ids = vocabulary.letter_ids(last + following)
        targets_L[end - 1 : end - 1 + len(ids)] = ids
        end, before = end + len(vocabulary.between_operations), after
    return targets_L


def encode_all(
    programs: Sequence[Program],
    width: int,
    answer_width: int,
    targets: bool = False,
    scratchpad: bool = False,
) -> Samples:
    r"""Encode samples of one layout as rows of one width.

    Args:
      programs: N of them; without any the layout is "compact".
      width: L, ids of a row.
      answer_width: W, ids of the answer field.
      targets, scratchpad: see `Samples` and `encode`.
    Returns:
      Samples, (N, L).
    Raises:
      ValueError: a row or an answer that does not fit.

    >>> encode_all([parse("NPF:1>2")], width=11, answer_width=3).input_ids.tobytes()
    b'NPF:1>2:\x00\x00\x00'
    """
    layout = programs[0].layout if programs else "compact"
    shape, dtype = (len(programs), width), VOCABULARIES[layout].dtype
    rows = [encode(program, width, answer_width, scratchpad) for program in programs]
    input_ids_NxL = np.array([ids for ids, _ in rows], dtype).reshape(shape)
    masked_NxL = input_ids_NxL == MASK
    after_NxL = np.cumsum(masked_NxL[:, ::-1], axis=1)[:, ::-1]  # masks from each place on
    target_rows = [encode_targets(program, width) for program in programs] if targets else []
    return Samples(
        input_ids=input_ids_NxL,
        labels=np.array([labels for _, labels in rows], dtype).reshape(shape),
        answer_mask=masked_NxL & (after_NxL <= answer_width),
        length=np.array([len(program.letters) for program in programs], np.uint8),
        nops=np.array([len(program.operations) for program in programs], np.uint16),
        layout=layout,
        targets=np.array(target_rows, dtype).reshape(shape) if targets else None,
    )
