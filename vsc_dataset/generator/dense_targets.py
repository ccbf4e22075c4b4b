"""Write the letter that each operation moves at the operation's ids: dense targets."""

import numpy as np
from numpy.typing import NDArray

from vsc_dataset.generator.buffers import thread_buffers
from vsc_dataset.generator.draw import ProgramBatch
from vsc_dataset.generator.lookup import LINE_BITS, TEXT_BITS, LookupTables
from vsc_dataset.vocabulary import Vocabulary


def write_targets(
    programs: ProgramBatch, tables: LookupTables, vocabulary: Vocabulary, out_NxL: NDArray
) -> None:
    """Execute the programs step by step and write each operation's letters.

    Args:
      programs: N of them.
      tables, vocabulary: those that they were drawn with.
      out_NxL: receives the ids, contiguous; its last column is overwritten with anything.
    """
    longest, count = programs.letters.shape
    buffers = thread_buffers()
    line, after = buffers.array("target lines", 2, longest, count, dtype=np.uint8)
    np.add(programs.letters, np.uint8(vocabulary.letter_shift % 256), out=line)
    sample_N, places_H = np.arange(count), np.arange(longest)
    row_N = sample_N * out_NxL.shape[1]
    unused_N = row_N + out_NxL.shape[1] - 1
    bits = 8 * vocabulary.id_bytes
    at_N = row_N + programs.length - 1
    for step, codes in enumerate(programs.codes):
        words = (tables.token if step else tables.first_token).take(codes)
        at_N += (words >> np.uint64(TEXT_BITS)).astype(np.intp) // bits
        for offset, targets in enumerate(tables.targets):
            if targets.max() >= 0:
                position_N = targets.take(codes)
                to_N = np.where(position_N >= 0, at_N + offset, unused_N)
                out_NxL.put(to_N, line.take(position_N * count + sample_N, mode="clip"))
        if step + 1 < len(programs.codes):
            permutation_N = tables.line.take(codes) & (1 << LINE_BITS) - 1
            origin_HxN = tables.lines.take(permutation_N * longest + places_H[:, None])
            origin_HxN *= count
            origin_HxN += sample_N
            line.take(origin_HxN, out=after, mode="clip")
            line, after = after, line
