"""Execute drawn programs step by step, and write what each step results in."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.generator.buffers import thread_buffers
from vsc_dataset.generator.draw import ProgramBatch
from vsc_dataset.generator.lookup import CHANGE_BITS, LINE_BITS, TEXT_BITS, LookupTables
from vsc_dataset.vocabulary import MASK, Vocabulary


def _execute(
    programs: ProgramBatch, tables: LookupTables, vocabulary: Vocabulary
) -> Iterator[NDArray[np.uint8]]:
    """Give the lines as ids (H, N), before the first operation and after each, in one buffer."""
    longest, count = programs.letters.shape
    line, after = thread_buffers().array("target lines", 2, longest, count, dtype=np.uint8)
    sample_N, places_H = np.arange(count), np.arange(longest)
    np.add(programs.letters, np.uint8(vocabulary.letter_shift % 256), out=line)
    yield line
    for codes in programs.codes:
        permutation_N = tables.line.take(codes) & (1 << LINE_BITS) - 1
        origin_HxN = tables.lines.take(permutation_N * longest + places_H[:, None])
        origin_HxN *= count
        origin_HxN += sample_N
        line.take(origin_HxN, out=after, mode="clip")
        line, after = after, line
        yield line


def write_targets(
    programs: ProgramBatch, tables: LookupTables, vocabulary: Vocabulary, out_NxL: NDArray
) -> None:
    """Write the letter that each operation moves at the operation's ids: dense targets.

    `out_NxL` is contiguous; its last column is overwritten with anything.
    """
    count = len(programs.length)
    sample_N = np.arange(count)
    row_N = sample_N * out_NxL.shape[1]
    unused_N = row_N + out_NxL.shape[1] - 1
    bits = 8 * vocabulary.id_bytes
    at_N = row_N + programs.length - 1
    lines = zip(programs.codes, _execute(programs, tables, vocabulary), strict=False)
    for step, (codes, line) in enumerate(lines):
        words = (tables.token if step else tables.first_token).take(codes)
        at_N += (words >> np.uint64(TEXT_BITS)).astype(np.intp) // bits
        for offset, targets in enumerate(tables.targets):
            if targets.max() >= 0:
                position_N = targets.take(codes)
                to_N = np.where(position_N >= 0, at_N + offset, unused_N)
                out_NxL.put(to_N, line.take(position_N * count + sample_N, mode="clip"))


def write_scratchpads(
    programs: ProgramBatch,
    tables: LookupTables,
    vocabulary: Vocabulary,
    rows: Sequence[NDArray],
    out: Sequence[NDArray],
) -> None:
    """Write rows with the state after each operation between the question and the answer.

    `rows` are labels and answer mask of the programs without the states, (N, L); `out` receives
    input, labels and answer mask, (N, S).
    """
    input_NxS, labels_NxS, mask_NxS = out
    start_N, width = rows[1].argmax(axis=1), rows[1][:1].sum()
    is_question_NxL = np.arange(rows[0].shape[1]) < start_N[:, None]
    labels_NxS.fill(vocabulary.pad)
    np.copyto(labels_NxS[:, : is_question_NxL.shape[1]], rows[0], where=is_question_NxL)
    answer_N = _write_states(programs, tables, vocabulary, start_N, labels_NxS)
    places_S = np.arange(labels_NxS.shape[1])
    is_written_NxS = (places_S >= start_N[:, None]) & (places_S < answer_N[:, None] + width)
    np.logical_and(is_written_NxS, places_S >= answer_N[:, None], out=mask_NxS)
    np.copyto(input_NxS, labels_NxS)
    input_NxS[is_written_NxS] = MASK


def _write_states(
    programs: ProgramBatch,
    tables: LookupTables,
    vocabulary: Vocabulary,
    start_N: NDArray[np.intp],
    out_NxL: NDArray,
) -> NDArray[np.intp]:
    """Write states, separator and answer from `start_N` on; return where answers begin, (N,)."""
    at_N, present_N = start_N.copy(), programs.length.astype(np.intp)
    lines = _execute(programs, tables, vocabulary)
    line = next(lines)
    for codes, line in zip(programs.codes, lines, strict=True):
        words = tables.line.take(codes) >> LINE_BITS
        executed_N = words >> CHANGE_BITS
        present_N += (words & (1 << CHANGE_BITS) - 1) - 1
        _write_letters(line, present_N * executed_N, at_N, out_NxL)
        at_N += (present_N + 1) * executed_N  # padding between two states
    at_N -= 1
    for i in vocabulary.before_answer:
        out_NxL[np.arange(len(at_N)), at_N] = i
        at_N += 1
    _write_letters(line, present_N, at_N, out_NxL)
    return at_N


def _write_letters(
    line_HxN: NDArray[np.uint8], count_N: NDArray, at_N: NDArray[np.intp], out_NxL: NDArray
) -> None:
    """Write the first `count_N` letters of each line from the position `at_N` on."""
    for index, ids_N in enumerate(line_HxN):
        rows = np.flatnonzero(count_N > index)
        out_NxL[rows, at_N[rows] + index] = ids_N[rows]
