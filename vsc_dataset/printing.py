"""Drawn questions -> rows of bytes: input, labels and where the answer is.

A row is written as 64-bit words, eight bytes at a time: a piece of text is shifted to its place and
joined by exclusive or, so it must not be blank where it should not show: pieces come exclusive-or
spaces, and a page is all spaces before anything is written on it.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.configs import TaskConfig
from vsc_dataset.drawing import Drawn
from vsc_dataset.draws import Draw
from vsc_dataset.encoding import PAD
from vsc_dataset.hashing import UInt64Array
from vsc_dataset.language import LAYOUTS
from vsc_dataset.memory import Memory, own_memory
from vsc_dataset.tables import CHANGE_BITS, COMPOSED_BITS, LINE_BITS, TEXT_BITS, Tables, pack

SPACES = 0x2020202020202020
BYTE = np.uint64(0xFF)
TEXT_MASK = np.uint64(2**TEXT_BITS - 1)
LINE_MASK = (1 << LINE_BITS) - 1


class _Page:
    """`words` (words of a row, N), and pieces of text placed on them."""

    def __init__(self, memory: Memory, words: int, count: int) -> None:
        self.words = memory.array("page", words, count)
        self.words.fill(SPACES)
        self.scratch = memory.array("places", 3, count)

    def place(self, piece: UInt64Array, at: UInt64Array, reach: tuple[int, int]) -> None:
        """Join pieces of up to 8 bytes at bit `at` of each row; all lie in bytes of `reach`."""
        shift, left, right = self.scratch
        first, last = reach[0] // 8, min((reach[1] - 1) // 8, len(self.words) - 1)
        for k in range(first, last + 1):
            np.subtract(at, np.uint64(64 * k), out=shift)  # numpy shifts by 64 and more to 0
            np.left_shift(piece, shift, out=left)
            if k > first:
                np.negative(shift, out=shift)
                np.right_shift(piece, shift, out=right)
                np.bitwise_or(left, right, out=left)
            np.bitwise_xor(self.words[k], left, out=self.words[k])


def print_rows(
    drawn: Drawn, tables: Tables, config: TaskConfig, draw: Draw, out_3xNxW: UInt64Array
) -> NDArray[np.intp]:
    """Execute the programs and write the rows.

    Args:
      drawn: N questions.
      tables, config, draw: those that they were drawn with.
      out_3xNxW: receives the rows as words: input, labels, answer mask.
    Returns:
      The operations of each row that were executed, (N,), in this thread's memory.
    """
    _, count, words = out_3xNxW.shape
    input_NxW, labels_NxW, mask_NxW = out_3xNxW
    memory = own_memory()
    page = _Page(memory, words, count)
    letters = _place_letters(page, memory, drawn.letters)
    at, (low, high) = _place_operations(page, memory, drawn, tables, config, draw)
    separator = LAYOUTS[config.layout].before_answer
    if tables.composed.size:
        behind, executed = _few(memory, drawn, tables, separator, letters)
    else:
        behind, executed = _many(memory, drawn, tables, separator)
    width = len(separator) + drawn.letters.shape[0]
    for start, piece in zip(range(0, width, 8), behind, strict=True):
        bit = at + np.uint64(8 * start) if start else at
        page.place(piece, bit, (low + start, high + min(start + 8, width)))
    np.stack(tuple(page.words), axis=1, out=labels_NxW)
    masks, keeps = _answer_fields(words, len(separator), config.answer_width, low, high)
    end = memory.array("end", count, dtype=np.intp)
    np.right_shift(at, np.uint64(3), out=end, casting="unsafe")
    np.subtract(end, low, out=end)
    masks.take(end, axis=0, out=mask_NxW, mode="clip")
    keeps.take(end, axis=0, out=input_NxW, mode="clip")
    np.bitwise_and(input_NxW, labels_NxW, out=input_NxW)
    return executed


@lru_cache(maxsize=16)
def _answer_fields(
    words: int, before: int, width: int, low: int, high: int
) -> tuple[UInt64Array, UInt64Array]:
    """Rows by the byte where operations end: 1 in the answer field; 0 in it and 255 elsewhere."""
    field = np.zeros((high - low + 1, words * 8), np.uint8)
    for end, row in enumerate(field, low + before):
        row[end : end + width] = 1
    keep = field - np.uint8(1)
    return field.view(np.uint64), keep.view(np.uint64)


def _packed(memory: Memory, rows_RxN: NDArray[np.uint8]) -> UInt64Array:
    """Up to 8 rows of bytes as one word each, the first one lowest."""
    count = rows_RxN.shape[1]
    rows = memory.array("packed 8", 8, count, dtype=np.uint8)
    rows[: len(rows_RxN)] = rows_RxN
    rows[len(rows_RxN) :] = 0
    for bits in (8, 16, 32):
        wider = memory.array(
            f"packed {2 * bits}", *(2, 64 // bits // 2, count), dtype=f"u{bits // 4}"
        )
        low, high = wider
        np.copyto(low, rows[0::2])
        np.copyto(high, rows[1::2])
        np.left_shift(high, high.dtype.type(bits), out=high)
        np.bitwise_or(low, high, out=low)
        rows = low
    return rows[0]


def _place_letters(page: _Page, memory: Memory, letters_HxN: NDArray[np.uint8]) -> UInt64Array:
    """Write the letters at the beginning of each row; the first eight of them as a word."""
    shown, there = memory.array("shown", 2, *letters_HxN.shape, dtype=np.uint8)
    np.greater(letters_HxN, 0, out=there.view(np.bool_))
    np.bitwise_xor(letters_HxN, np.uint8(PAD), out=shown)
    np.multiply(shown, there, out=shown)
    for start in range(0, len(shown), 8):
        page.words[start // 8] ^= _packed(memory, shown[start : start + 8])
    first = memory.array("first letters", letters_HxN.shape[1])
    np.bitwise_xor(page.words[0], np.uint64(SPACES), out=first)
    return first


def _place_operations(
    page: _Page, memory: Memory, drawn: Drawn, tables: Tables, config: TaskConfig, draw: Draw
) -> tuple[UInt64Array, tuple[int, int]]:
    """Write the operations, separators in front; the bit behind each row's, least and most byte."""
    at, word, text, piece, bits = memory.array("operations", 5, len(drawn.length))
    np.copyto(at, drawn.length)
    np.left_shift(at, np.uint64(3), out=at)
    low, high = draw.length
    separator = LAYOUTS[config.layout].after_letters
    least = low + len(separator)
    if not len(drawn.codes):
        piece.fill(pack(separator))
        page.place(piece, at, (low, high + len(separator)))
        at += np.uint64(8 * len(separator))
        return at, (least, high + len(separator))
    # Operations are joined to pieces of eight bytes at most. One has as many in front of it as its
    # step says, which tells how far left it can stand; a blank one, behind the end, fits anywhere.
    piece.fill(0)
    bits.fill(0)
    fewest, most = 0, 0
    for step, codes in enumerate(drawn.codes):
        table = tables.token if step else tables.first_token
        table.take(codes, out=word, mode="clip")
        np.bitwise_and(word, TEXT_MASK, out=text)
        np.right_shift(word, np.uint64(TEXT_BITS), out=word)
        own_fewest, own_most = tables.token_bytes[step > 0]
        if most + own_most > 8:
            high += most
            page.place(piece, at, (low, high))
            np.add(at, bits, out=at)
            low += fewest
            fewest, most = 0, 0
            piece, text = text, piece
            bits, word = word, bits
        else:
            np.left_shift(text, bits, out=text)
            np.bitwise_or(piece, text, out=piece)
            np.add(bits, word, out=bits)
        fewest, most = fewest + own_fewest, most + own_most
    page.place(piece, at, (low, high + most))
    np.add(at, bits, out=at)
    return at, (least, high + most)


def _few(
    memory: Memory, drawn: Drawn, tables: Tables, separator: str, letters: UInt64Array
) -> tuple[list[UInt64Array], NDArray[np.intp]]:
    """What stands behind the operations, of few letters: one word; and the operations executed."""
    count = drawn.letters.shape[1]
    word, line, total = memory.array("lines", 3, count, dtype=np.intp)
    for step, codes in enumerate(drawn.codes):
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
    if not len(drawn.codes):
        line.fill(0)
        total.fill(0)
    np.right_shift(line, COMPOSED_BITS, out=line)
    present, executed = _counted(memory, drawn, total)
    bits, shift, piece = memory.array("few", 3, count)
    tables.line_bits.take(line, out=bits, mode="clip")
    piece.fill(pack(separator))
    for place in range(len(drawn.letters)):
        np.right_shift(bits, np.uint64(8 * place), out=shift)
        np.bitwise_and(shift, BYTE, out=shift)
        np.right_shift(letters, shift, out=shift)
        np.bitwise_and(shift, BYTE, out=shift)
        np.left_shift(shift, np.uint64(8 * (place + len(separator))), out=shift)
        np.bitwise_or(piece, shift, out=piece)
    np.left_shift(present, 3, out=line)
    np.add(line, 8 * len(separator), out=line)
    np.left_shift(np.uint64(1), line.view(np.uint64), out=shift)
    np.subtract(shift, np.uint64(1), out=shift)
    np.bitwise_and(piece, shift, out=piece)
    return [piece], executed


def _many(
    memory: Memory, drawn: Drawn, tables: Tables, separator: str
) -> tuple[list[UInt64Array], NDArray[np.intp]]:
    """The same of any number of letters, in words of eight bytes."""
    longest, count = drawn.letters.shape
    word, _, total = memory.array("lines", 3, count, dtype=np.intp)
    place_HxN, back = memory.array("from", 2, longest, count, dtype=np.intp)
    place_HxN[:] = np.arange(longest)[:, None]
    total.fill(0)
    for codes in drawn.codes[::-1]:  # a letter's way is followed back, from the last operation
        tables.line.take(codes, out=word, mode="clip")
        np.add(total, word, out=total)
        np.bitwise_and(word, LINE_MASK, out=word)
        np.multiply(word, longest, out=word)
        np.add(place_HxN, word, out=place_HxN)
        tables.lines.take(place_HxN, out=back, mode="clip")
        place_HxN, back = back, place_HxN
    present, executed = _counted(memory, drawn, total)
    np.multiply(place_HxN, count, out=place_HxN)
    np.add(place_HxN, np.arange(count), out=place_HxN)
    behind = memory.array("behind", len(separator) + longest, count, dtype=np.uint8)
    behind[: len(separator)] = np.frombuffer(separator.encode(), np.uint8)[:, None] ^ PAD
    answer_HxN = behind[len(separator) :]
    drawn.letters.take(place_HxN, out=answer_HxN, mode="clip")
    np.bitwise_xor(answer_HxN, np.uint8(PAD), out=answer_HxN)
    there = memory.array("there", count, dtype=np.bool_)
    for place, letters in enumerate(answer_HxN):
        np.multiply(letters, np.greater(present, place, out=there), out=letters)
    starts = range(0, len(behind), 8)
    return [_packed(memory, behind[start : start + 8]).copy() for start in starts], executed


def _counted(
    memory: Memory, drawn: Drawn, total: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The letters present at the end and the operations executed, from the sum of `line` words."""
    present, executed = memory.array("counted", 2, len(total), dtype=np.intp)
    np.right_shift(total, LINE_BITS + CHANGE_BITS, out=executed)
    np.right_shift(total, LINE_BITS, out=present)
    np.bitwise_and(present, (1 << CHANGE_BITS) - 1, out=present)
    np.add(present, drawn.length, out=present)
    np.subtract(present, len(drawn.codes), out=present)
    return present, executed
