"""Execute drawn programs and write them as rows of ids: input, labels and where the answer is.

A row is written as 64-bit words, eight bytes at a time: a piece of ids is shifted to its place and
joined by exclusive or, so it must be 0 where it must not show: pieces come exclusive-or padding,
and rows are all padding before anything is written on them. An id has one byte, of the layout
`tokens` two; letters and separators are below 256 in both, so they are collected as bytes.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.configs import TaskConfig
from vsc_dataset.generator.buffers import Buffers, thread_buffers
from vsc_dataset.generator.draw import LOW_HALF, ProgramBatch
from vsc_dataset.generator.hashing import UInt64Array
from vsc_dataset.generator.lookup import (
    CHANGE_BITS,
    COMPOSED_BITS,
    LINE_BITS,
    TEXT_BITS,
    LookupTables,
    pack,
)
from vsc_dataset.generator.spec import Range, SampleSpec
from vsc_dataset.vocabulary import Vocabulary

BYTE = np.uint64(0xFF)
TEXT_MASK = np.uint64(2**TEXT_BITS - 1)
LINE_MASK = (1 << LINE_BITS) - 1

WIDE_RANGE = 6
"""Words from which on it pays to find out where the pieces really lie."""


class _RowWriter:
    """The `words` of N rows (words of a row, N), and the writing of pieces of text on them."""

    def __init__(self, buffers: Buffers, words: int, count: int, vocabulary: Vocabulary) -> None:
        self.words = buffers.array("row words", words, count)
        self.words.view(vocabulary.dtype).fill(vocabulary.pad)
        self.scratch = buffers.array("shifted pieces", 3, count)

    def write(self, piece: UInt64Array, at: UInt64Array, byte_range: Range) -> None:
        """Write pieces of up to 8 bytes at bit `at` of each row; all lie within `byte_range`."""
        shift, left, right = self.scratch
        first, last = byte_range[0] // 8, min((byte_range[1] - 1) // 8, len(self.words) - 1)
        if last - first > WIDE_RANGE:  # in long rows far more than the rows' places differ by
            first = max(first, int(at.min()) // 64)
            last = min(last, (int(at.max()) + 63) // 64)
        for k in range(first, last + 1):
            np.subtract(at, np.uint64(64 * k), out=shift)  # numpy shifts by 64 and more to 0
            np.left_shift(piece, shift, out=left)
            if k > first:
                np.negative(shift, out=shift)
                np.right_shift(piece, shift, out=right)
                np.bitwise_or(left, right, out=left)
            np.bitwise_xor(self.words[k], left, out=self.words[k])


def render_samples(
    programs: ProgramBatch,
    tables: LookupTables,
    config: TaskConfig,
    spec: SampleSpec,
    ids_2xNxW: UInt64Array,
    mask_NxM: UInt64Array,
) -> NDArray[np.intp]:
    """Execute N programs and write their rows: input and labels, and the answer mask, as words.

    Returns:
      The operations of each program that were executed, (N,), in this thread's buffers.
    """
    input_NxW, labels_NxW = ids_2xNxW
    count, words = labels_NxW.shape
    buffers, vocabulary = thread_buffers(), config.vocabulary
    rows = _RowWriter(buffers, words, count, vocabulary)
    letters = _write_letters(rows, buffers, programs.letters, vocabulary)
    at, (low, high) = _write_operations(rows, buffers, programs, tables, vocabulary, spec.length)
    make_answers = _short_answers if tables.composed.size else _long_answers
    pieces, executed = make_answers(buffers, programs, tables, vocabulary, letters)
    size, before = vocabulary.id_bytes, len(vocabulary.before_answer)
    width = size * (before + programs.letters.shape[0])
    for start, piece in zip(range(0, width, 8), pieces, strict=False):
        bit = at + np.uint64(8 * start) if start else at
        rows.write(piece, bit, (low + start, high + min(start + 8, width)))
    np.stack(tuple(rows.words), axis=1, out=labels_NxW)
    first, last = low // size, high // size
    masks, keeps = _answer_fields(
        words * 8 // size, mask_NxM.shape[1] * 8, before, config.answer_width, first, last, size
    )
    end = buffers.array("end", count, dtype=np.intp)
    np.right_shift(at, np.uint64(2 + size), out=end, casting="unsafe")  # 8 or 16 bits an id
    np.subtract(end, first, out=end)
    masks.take(end, axis=0, out=mask_NxM, mode="clip")
    keeps.take(end, axis=0, out=input_NxW, mode="clip")
    np.bitwise_and(input_NxW, labels_NxW, out=input_NxW)
    return executed


@lru_cache(maxsize=16)
def _answer_fields(
    ids: int, flags: int, separator: int, width: int, low: int, high: int, id_bytes: int
) -> tuple[UInt64Array, UInt64Array]:
    """Make rows by the id where operations end: 1 in the answer field; 0 in it, else all bits."""
    field = np.zeros((high - low + 1, max(ids, flags)), np.uint8)
    for start, row in enumerate(field, low + separator):
        row[start : start + width] = 1
    others = field[:, :ids].astype(f"u{id_bytes}")
    others -= 1  # of 0 the largest number
    return np.ascontiguousarray(field[:, :flags]).view(np.uint64), others.view(np.uint64)


def _pack_bytes(buffers: Buffers, bytes_RxN: NDArray[np.uint8]) -> UInt64Array:
    """Pack up to 8 bytes of each row into one word, the first one lowest."""
    count = bytes_RxN.shape[1]
    parts = buffers.array("packed 8", 8, count, dtype=np.uint8)
    parts[: len(bytes_RxN)] = bytes_RxN
    parts[len(bytes_RxN) :] = 0
    for bits in (8, 16, 32):
        low, high = buffers.array(
            f"packed {2 * bits}", *(2, 64 // bits // 2, count), dtype=f"u{bits // 4}"
        )
        np.copyto(low, parts[0::2])
        np.copyto(high, parts[1::2])
        np.left_shift(high, high.dtype.type(bits), out=high)
        np.bitwise_or(low, high, out=low)
        parts = low
    return parts[0]


def _spread(
    buffers: Buffers, pieces: list[UInt64Array], vocabulary: Vocabulary
) -> list[UInt64Array]:
    """Give each byte of the pieces the bytes of an id, in twice as many pieces where it has two."""
    if vocabulary.id_bytes == 1:
        return pieces
    scratch, *halves = buffers.array("spread", 1 + 2 * len(pieces), len(pieces[0]))
    for number, half in enumerate(halves):
        if number % 2:
            np.right_shift(pieces[number // 2], np.uint64(32), out=half)
        else:
            np.bitwise_and(pieces[number // 2], LOW_HALF, out=half)
        for shift, mask in ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF)):
            np.left_shift(half, np.uint64(shift), out=scratch)
            np.bitwise_or(half, scratch, out=half)
            np.bitwise_and(half, np.uint64(mask), out=half)
    return halves


def _write_letters(
    rows: _RowWriter, buffers: Buffers, letters_HxN: NDArray[np.uint8], vocabulary: Vocabulary
) -> UInt64Array:
    """Write the letters at the beginning of each row; return the first eight of them as a word."""
    ids, present = buffers.array("letters", 2, *letters_HxN.shape, dtype=np.uint8)
    np.greater(letters_HxN, 0, out=present.view(np.bool_))
    np.add(letters_HxN, np.uint8(vocabulary.letter_shift % 256), out=ids)
    np.bitwise_xor(ids, np.uint8(vocabulary.pad), out=ids)
    np.multiply(ids, present, out=ids)
    first = buffers.array("first letters", letters_HxN.shape[1])
    number = 0
    for start in range(0, len(ids), 8):
        packed = _pack_bytes(buffers, ids[start : start + 8])
        if start == 0:
            np.copyto(first, packed)
        for piece in _spread(buffers, [packed], vocabulary):
            if number < len(rows.words):
                rows.words[number] ^= piece
            number += 1
    return first


def _write_operations(
    rows: _RowWriter,
    buffers: Buffers,
    programs: ProgramBatch,
    tables: LookupTables,
    vocabulary: Vocabulary,
    length: Range,
) -> tuple[UInt64Array, Range]:
    """Write the operations; return the bit where each row goes on, and its least and most byte."""
    at, word, text, piece, bits = buffers.array("operations", 5, len(programs.length))
    size, separator = vocabulary.id_bytes, vocabulary.after_letters
    np.copyto(at, programs.length)
    np.multiply(at, np.uint64(8 * size), out=at)
    low, high = size * length[0], size * length[1]
    least = low + size * len(separator)
    # Without operations the separator is alone.
    fewest = most = 0 if len(programs.codes) else size * len(separator)
    # Operations are joined to pieces of eight bytes at most. An operation has as many before it as
    # its step says, which tells how far left it can be; an empty one, after the end, fits anywhere.
    piece.fill(pack(separator, vocabulary) if most else 0)
    bits.fill(8 * most)
    for step, codes in enumerate(programs.codes):
        table = tables.token if step else tables.first_token
        table.take(codes, out=word, mode="clip")
        np.bitwise_and(word, TEXT_MASK, out=text)
        np.right_shift(word, np.uint64(TEXT_BITS), out=word)
        token_fewest, token_most = tables.token_bytes[step > 0]
        if most + token_most > 8:
            high += most
            rows.write(piece, at, (low, high))
            np.add(at, bits, out=at)
            low += fewest
            fewest, most = 0, 0
            piece, text = text, piece
            bits, word = word, bits
        else:
            np.left_shift(text, bits, out=text)
            np.bitwise_or(piece, text, out=piece)
            np.add(bits, word, out=bits)
        fewest, most = fewest + token_fewest, most + token_most
    rows.write(piece, at, (low, high + most))
    np.add(at, bits, out=at)
    return at, (least, high + most)


def _short_answers(
    buffers: Buffers,
    programs: ProgramBatch,
    tables: LookupTables,
    vocabulary: Vocabulary,
    letters: UInt64Array,
) -> tuple[list[UInt64Array], NDArray[np.intp]]:
    """Make separator and answer, of few letters, as pieces; count the operations executed."""
    separator = bytes(number ^ vocabulary.pad for number in vocabulary.before_answer)
    line, total = _compose_lines(buffers, programs, tables)
    present, executed = _count_letters_and_operations(buffers, programs, total)
    bits, shift, piece = buffers.array("short answers", 3, len(line))
    tables.line_bits.take(line, out=bits, mode="clip")
    piece.fill(int.from_bytes(separator, "little"))
    for position in range(len(programs.letters)):
        np.right_shift(bits, np.uint64(8 * position), out=shift)
        np.bitwise_and(shift, BYTE, out=shift)
        np.right_shift(letters, shift, out=shift)
        np.bitwise_and(shift, BYTE, out=shift)
        np.left_shift(shift, np.uint64(8 * (position + len(separator))), out=shift)
        np.bitwise_or(piece, shift, out=piece)
    np.left_shift(present, 3, out=line)
    np.add(line, 8 * len(separator), out=line)
    np.left_shift(np.uint64(1), line.view(np.uint64), out=shift)
    np.subtract(shift, np.uint64(1), out=shift)
    np.bitwise_and(piece, shift, out=piece)
    return _spread(buffers, [piece], vocabulary), executed


def _compose_lines(
    buffers: Buffers, programs: ProgramBatch, tables: LookupTables
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Compose the permutations of all steps; return the number of the result, and summed words."""
    word, line, total = buffers.array("lines", 3, programs.letters.shape[1], dtype=np.intp)
    if not len(programs.codes):
        line.fill(0)
        total.fill(0)
    for step, codes in enumerate(programs.codes):
        tables.line.take(codes, out=word, mode="clip")
        if step:
            np.add(total, word, out=total)
            np.bitwise_and(word, LINE_MASK, out=word)
            np.add(word, line, out=word)
            tables.composed.take(word, out=line, mode="clip")
        else:
            np.copyto(total, word)
            np.left_shift(word, COMPOSED_BITS, out=line)
            np.bitwise_and(line, LINE_MASK << COMPOSED_BITS, out=line)
    np.right_shift(line, COMPOSED_BITS, out=line)
    return line, total


def _long_answers(
    buffers: Buffers,
    programs: ProgramBatch,
    tables: LookupTables,
    vocabulary: Vocabulary,
    letters: UInt64Array,
) -> tuple[list[UInt64Array], NDArray[np.intp]]:
    """Do the same for any number of letters."""
    separator = np.array(vocabulary.before_answer, np.uint8)
    longest, count = programs.letters.shape
    word, _, total = buffers.array("lines", 3, count, dtype=np.intp)
    position_HxN, origin_HxN = buffers.array("origins", 2, longest, count, dtype=np.intp)
    position_HxN[:] = np.arange(longest)[:, None]
    total.fill(0)
    for codes in programs.codes[::-1]:  # each place is traced back, from the last operation
        tables.line.take(codes, out=word, mode="clip")
        np.add(total, word, out=total)
        np.bitwise_and(word, LINE_MASK, out=word)
        np.multiply(word, longest, out=word)
        np.add(position_HxN, word, out=position_HxN)
        tables.lines.take(position_HxN, out=origin_HxN, mode="clip")
        position_HxN, origin_HxN = origin_HxN, position_HxN
    present, executed = _count_letters_and_operations(buffers, programs, total)
    np.multiply(position_HxN, count, out=position_HxN)
    np.add(position_HxN, np.arange(count), out=position_HxN)
    text = buffers.array("long answers", len(separator) + longest, count, dtype=np.uint8)
    text[: len(separator)] = separator[:, None] ^ np.uint8(vocabulary.pad)
    answer_HxN = text[len(separator) :]
    programs.letters.take(position_HxN, out=answer_HxN, mode="clip")
    np.add(answer_HxN, np.uint8(vocabulary.letter_shift % 256), out=answer_HxN)
    np.bitwise_xor(answer_HxN, np.uint8(vocabulary.pad), out=answer_HxN)
    is_present = buffers.array("is present", count, dtype=np.bool_)
    for position, letters in enumerate(answer_HxN):
        np.multiply(letters, np.greater(present, position, out=is_present), out=letters)
    starts = range(0, len(text), 8)
    pieces = [_pack_bytes(buffers, text[start : start + 8]).copy() for start in starts]
    return _spread(buffers, pieces, vocabulary), executed


def _count_letters_and_operations(
    buffers: Buffers, programs: ProgramBatch, total: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Count the letters at the end and the operations executed, from the sum of `line` words."""
    present, executed = buffers.array("counts", 2, len(total), dtype=np.intp)
    np.right_shift(total, LINE_BITS + CHANGE_BITS, out=executed)
    np.right_shift(total, LINE_BITS, out=present)
    np.bitwise_and(present, (1 << CHANGE_BITS) - 1, out=present)
    np.add(present, programs.length, out=present)
    np.subtract(present, len(programs.codes), out=present)
    return present, executed
