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
from vsc_dataset.tables import COMPOSED_BITS, LINE_BITS, TEXT_BITS, Tables, pack

SPACES = 0x2020202020202020
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
) -> None:
    """Execute the programs and write the rows.

    Args:
      drawn: N questions.
      tables, config, draw: those that they were drawn with.
      out_3xNxW: receives the rows as words: input, labels, answer mask.
    """
    _, count, words = out_3xNxW.shape
    input_NxW, labels_NxW, mask_NxW = out_3xNxW
    memory = own_memory()
    page = _Page(memory, words, count)
    _place_letters(page, memory, drawn.letters)
    at, (low, high) = _place_operations(page, memory, drawn, tables, config, draw)
    separator = LAYOUTS[config.layout].before_answer
    behind = _behind(memory, drawn, tables, separator)
    for start in range(0, len(behind), 8):
        piece = _packed(memory, behind[start : start + 8])
        bit = at + np.uint64(8 * start) if start else at
        page.place(piece, bit, (low + start, high + min(start + 8, len(behind))))
    np.stack(tuple(page.words), axis=1, out=labels_NxW)
    masks, keeps = _answer_fields(words, len(separator), config.answer_width)
    end = memory.array("end", count, dtype=np.intp)
    np.right_shift(at, np.uint64(3), out=end, casting="unsafe")
    masks.take(end, axis=0, out=mask_NxW, mode="clip")
    keeps.take(end, axis=0, out=input_NxW, mode="clip")
    np.bitwise_and(input_NxW, labels_NxW, out=input_NxW)


@lru_cache(maxsize=32)
def _answer_fields(words: int, before: int, width: int) -> tuple[UInt64Array, UInt64Array]:
    """Rows by the byte where operations end: 1 in the answer field; 0 in it and 255 elsewhere."""
    ends = np.arange(words * 8)[:, None]
    place = np.arange(words * 8) - ends - before
    field = (place >= 0) & (place < width)
    keep = np.where(field, 0, 255).astype(np.uint8)
    return field.view(np.uint64), keep.view(np.uint64)


def count_executed(drawn: Drawn) -> NDArray[np.uint16]:
    """The operations of each row that were executed, uint16 (N,)."""
    executed = np.zeros(len(drawn.length), np.uint16)
    for codes in drawn.codes:
        executed += codes > 0
    return executed


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


def _place_letters(page: _Page, memory: Memory, letters_HxN: NDArray[np.uint8]) -> None:
    """Write the letters at the beginning of each row."""
    shown, there = memory.array("shown", 2, *letters_HxN.shape, dtype=np.uint8)
    np.greater(letters_HxN, 0, out=there.view(np.bool_))
    np.bitwise_xor(letters_HxN, np.uint8(PAD), out=shown)
    np.multiply(shown, there, out=shown)
    for start in range(0, len(shown), 8):
        page.words[start // 8] ^= _packed(memory, shown[start : start + 8])


def _place_operations(
    page: _Page, memory: Memory, drawn: Drawn, tables: Tables, config: TaskConfig, draw: Draw
) -> tuple[UInt64Array, tuple[int, int]]:
    """Write the operations, separators in front; the bit behind each row's, least and most byte."""
    at, word, text = memory.array("operations", 3, len(drawn.length))
    np.copyto(at, drawn.length)
    at *= np.uint64(8)
    low, high = draw.length
    separator = LAYOUTS[config.layout].after_letters
    least = low + len(separator)
    if not len(drawn.codes):
        text.fill(pack(separator))
        page.place(text, at, (low, high + len(separator)))
        at += np.uint64(8 * len(separator))
        return at, (least, high + len(separator))
    for step, codes in enumerate(drawn.codes):
        table = tables.token if step else tables.first_token
        table.take(codes, out=word, mode="clip")
        np.bitwise_and(word, TEXT_MASK, out=text)
        np.right_shift(word, np.uint64(TEXT_BITS), out=word)
        fewest, most = tables.token_bytes[step > 0]
        high += most
        page.place(text, at, (low, high))
        # An operation has as many in front of it as its step says; a blank text fits anywhere.
        low += fewest
        at += word
    return at, (least, high)


def _behind(memory: Memory, drawn: Drawn, tables: Tables, separator: str) -> NDArray[np.uint8]:
    """What stands behind the operations, each byte exclusive-or a space: uint8 (S + H, N)."""
    longest, count = drawn.letters.shape
    place_HxN, present = _execute(memory, drawn, tables)
    place_HxN *= count
    place_HxN += np.arange(count)
    behind = memory.array("behind", len(separator) + longest, count, dtype=np.uint8)
    behind[: len(separator)] = np.frombuffer(separator.encode(), np.uint8)[:, None] ^ PAD
    answer_HxN = behind[len(separator) :]
    drawn.letters.take(place_HxN, out=answer_HxN, mode="clip")
    answer_HxN ^= np.uint8(PAD)
    there = memory.array("there", count, dtype=np.bool_)
    for place, letters in enumerate(answer_HxN):
        letters *= np.greater(present, place, out=there)
    return behind


def _execute(
    memory: Memory, drawn: Drawn, tables: Tables
) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
    """Where each place's letter came from, (H, N), and the number of letters present (N,)."""
    longest, count = drawn.letters.shape
    word, line, total = memory.array("lines", 3, count, dtype=np.intp)
    place_HxN = memory.array("from", longest, count, dtype=np.intp)
    total.fill(0)
    if tables.composed.size:
        line.fill(0)
        for codes in drawn.codes:
            tables.line.take(codes, out=word, mode="clip")
            total += word
            word &= LINE_MASK
            word += line
            tables.composed.take(word, out=line, mode="clip")
        line >>= COMPOSED_BITS
        for place, lines in zip(place_HxN, tables.lines.T, strict=True):
            lines.take(line, out=place, mode="clip")
    else:  # a letter's way is followed back, from the last operation to the first
        place_HxN[:] = np.arange(longest)[:, None]
        back = memory.array("back", longest, count, dtype=np.intp)
        for codes in drawn.codes[::-1]:
            tables.line.take(codes, out=word, mode="clip")
            total += word
            word &= LINE_MASK
            word *= longest
            place_HxN += word
            tables.lines.take(place_HxN, out=back, mode="clip")
            place_HxN, back = back, place_HxN
    present = drawn.length + (total >> LINE_BITS).astype(np.uint8)
    present -= np.uint8(len(drawn.codes) % 256)
    return place_HxN, present
