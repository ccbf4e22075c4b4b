"""Find the first operation of each question at which a model errs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from scripts.core.inference import BATCH_SIZE, predict
from vsc_dataset.configs import TaskConfig
from vsc_dataset.encoding import encode_all
from vsc_dataset.language import Program, parse


def first_wrong_steps(
    model: nn.Module,
    questions: Sequence[str],
    config: TaskConfig,
    steps: range,
    batch_size: int = BATCH_SIZE,
    pad_to: int | None = None,
) -> list[int | None]:
    """Evaluate the same questions again, cut after each number of operations.

    Args:
      model: see `predict`.
      questions: N texts, which the model answered wrong.
      config: of the answer field; the letters are within its lengths.
      steps: the numbers of operations that the model was trained on, rising.
      batch_size: see `predict`.
      pad_to: bytes of a row; None is as few as the cut questions need.
    Returns:
      For each question the smallest k of `steps`, at most its own operations, at which the model
      errs on the question cut after k of them; None where it errs at none.
    Raises:
      ValueError: a malformed question.
    """
    if not steps:
        return [None] * len(questions)
    width = cut_config(config, steps).padded_width(pad_to)
    programs = [parse(question) for question in questions]
    first: list[int | None] = [None] * len(questions)
    for k in steps:
        open_rows = [
            i for i, p in enumerate(programs) if first[i] is None and len(p.operations) >= k
        ]
        # The whole question was answered wrong already; rounding must not change that.
        whole = [i for i in open_rows if len(programs[i].operations) == k]
        cut = {i: _cut(programs[i], k) for i in open_rows if len(programs[i].operations) > k}
        if cut:
            samples = encode_all(list(cut.values()), width, config.answer_width)
            answers = predict(model, samples, batch_size=batch_size).answers
            pairs = zip(cut.items(), answers, strict=True)
            whole += [i for (i, program), answer in pairs if answer != program.answer]
        for i in whole:
            first[i] = k
    return first


def cut_config(config: TaskConfig, steps: range) -> TaskConfig:
    """Return the configuration of questions that are cut after some of `steps`, at least one."""
    span = (steps[0], steps[-1])
    return replace(config, grid_nops=(), nops=span, eval_nops=span)


def count_steps(first: Sequence[int | None], steps: range) -> dict[str, int]:
    """Count the questions that err first at each step; "none" where at none of them.

    >>> count_steps([2, None, 2], range(1, 4))
    {'1': 0, '2': 2, '3': 0, 'none': 1}
    """
    counts = Counter(first)
    return {**{str(k): counts[k] for k in steps}, "none": counts[None]}


def _cut(program: Program, k: int) -> Program:
    """Return the question up to its k-th operation."""
    return Program(program.letters, program.operations[:k], program.layout)
