"""Samples as Arrow tables."""

import numpy as np
import pyarrow as pa

from vsc_dataset.encoding import PAD, Examples
from vsc_dataset.language import LAYOUTS, parse

SCHEMA = pa.schema(
    [
        ("question", pa.string()),
        ("answer", pa.string()),
        ("length", pa.int32()),
        ("nops", pa.int32()),
    ]
)
TRACE = pa.field("trace", pa.list_(pa.string()))
"""On request: the state after each operation."""


def make_table(samples: Examples, trace: bool = False) -> pa.Table:
    """Make an Arrow table of samples, by SCHEMA.

    Args:
      samples: N of them.
      trace: add the state after each operation; slow, one question after the other.
    """
    count, width = samples.labels.shape
    answer_width = int(samples.answer_mask[:1].sum())
    separator = len(LAYOUTS[samples.layout].before_answer)
    ends_N = samples.answer_mask.argmax(axis=1) - separator
    answers_NxW = samples.labels[samples.answer_mask].reshape(count, answer_width)
    is_letter_NxW = answers_NxW != PAD
    columns = [
        _strings(samples.labels[np.arange(width) < ends_N[:, None]], ends_N),
        _strings(answers_NxW[is_letter_NxW], sum(is_letter_NxW.T.astype(np.int32))),
        pa.array(samples.length.astype(np.int32)),
        pa.array(samples.nops.astype(np.int32)),
    ]
    table = pa.Table.from_arrays(columns, schema=SCHEMA)
    if trace:
        traces = [list(parse(text).trace) for text in samples.questions()]
        table = table.append_column(TRACE, pa.array(traces, TRACE.type))
    return table


def _strings(text: np.ndarray, widths_N: np.ndarray) -> pa.Array:
    """Cut `text` into N strings."""
    offsets = np.zeros(len(widths_N) + 1, np.int32)
    np.cumsum(widths_N, out=offsets[1:])
    return pa.StringArray.from_buffers(len(widths_N), pa.py_buffer(offsets), pa.py_buffer(text))
