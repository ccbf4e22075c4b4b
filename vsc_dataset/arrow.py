"""Samples as Arrow tables."""

import numpy as np
import pyarrow as pa

from vsc_dataset.encoding import Samples
from vsc_dataset.language import LAYOUTS, TOKENS, parse
from vsc_dataset.vocabulary import IGNORED, PAD

SCHEMA = pa.schema(
    [
        ("question", pa.string()),
        ("answer", pa.string()),
        ("length", pa.int32()),
        ("nops", pa.int32()),
    ]
)
IDS = [pa.field(name, pa.list_(pa.int32())) for name in ("input_ids", "labels")]
"""Of the layout `tokens`: rows of L ids, the labels IGNORED outside the answer field."""

TRACE = pa.field("trace", pa.list_(pa.string()))
"""On request: the state after each operation."""


def make_schema(layout: str = "compact", trace: bool = False) -> pa.Schema:
    """List the columns of a table: SCHEMA, then IDS of the layout `tokens`, then TRACE."""
    return pa.schema([*SCHEMA, *(IDS if layout == TOKENS else ()), *([TRACE] if trace else ())])


def make_table(samples: Samples, trace: bool = False) -> pa.Table:
    """Make an Arrow table of samples, by `make_schema`.

    Args:
      samples: N of them.
      trace: add the state after each operation; slow, one question after the other.
    """
    answers_NxW = samples.answer_characters()
    is_letter_NxW = answers_NxW != PAD
    # Column by column: numpy's sum of such short rows takes several times as long.
    letters_N = sum(is_letter_NxW.T.astype(np.int32), start=np.zeros(len(samples), np.int32))
    columns = [
        _strings(*samples.question_characters()),
        _strings(answers_NxW[is_letter_NxW], letters_N),
        pa.array(samples.length.astype(np.int32)),
        pa.array(samples.nops.astype(np.int32)),
    ]
    if samples.layout == TOKENS:
        labels_NxL = np.where(samples.answer_mask, samples.labels.astype(np.int32), IGNORED)
        columns += [_lists(samples.input_ids.astype(np.int32)), _lists(labels_NxL)]
    if trace:
        traces = [list(parse(text).trace) for text in samples.questions()]
        columns.append(pa.array(traces, TRACE.type))
    return pa.Table.from_arrays(columns, schema=make_schema(samples.layout, trace))


PROMPT_SCHEMA = pa.schema([("prompt", pa.string()), ("completion", pa.string())])


def make_prompt_table(samples: Samples, scratchpad: bool = False) -> pa.Table:
    """Make an Arrow table of prompts and completions, which together are a row's text.

    Args:
      samples: N of them.
      scratchpad: the completion is the state after each operation, then the answer; slow.
    """
    before_answer = LAYOUTS[samples.layout].before_answer
    questions, answers = samples.questions(), samples.answers()
    if scratchpad:
        states = (" ".join(parse(question).trace) for question in questions)
        answers = [s + before_answer + a for s, a in zip(states, answers, strict=True)]
    prompts = [question + before_answer for question in questions]
    return pa.Table.from_arrays([pa.array(prompts), pa.array(answers)], schema=PROMPT_SCHEMA)


def _lists(ids_NxL: np.ndarray) -> pa.Array:
    """Make a list of each row."""
    count, width = ids_NxL.shape
    offsets = np.arange(count + 1, dtype=np.int32) * width
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(ids_NxL.ravel()))


def _strings(text: np.ndarray, widths_N: np.ndarray) -> pa.Array:
    """Cut `text` into N strings."""
    offsets = np.zeros(len(widths_N) + 1, np.int32)
    np.cumsum(widths_N, out=offsets[1:])
    return pa.StringArray.from_buffers(len(widths_N), pa.py_buffer(offsets), pa.py_buffer(text))
