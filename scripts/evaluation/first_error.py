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
    wrong: Sequence[bool],
    config: TaskConfig,
    steps: range,
    batch_size: int = BATCH_SIZE,
    pad_to: int | None = None,
) -> list[int | None]:
    """Evaluate the same questions again, cut after each number of operations.

    Args:
      model: see `predict`.
      questions: N texts.
      wrong: whether the model answered them wrong; whole questions are not evaluated again, for
        rounding must not change that.
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
    first: list[int | None] = [None] * len(questions)
    if not steps:
        return first
    width = cut_config(config, steps).padded_width(pad_to)
    programs = [parse(question) for question in questions]
    for k in steps:
        right = [i for i, program in enumerate(programs) if first[i] is None]
        cut = {
            i: Program(programs[i].letters, programs[i].operations[:k], programs[i].layout)
            for i in right
            if len(programs[i].operations) > k
        }
        errs = [i for i in right if len(programs[i].operations) == k and wrong[i]]
        if cut:
            samples = encode_all(list(cut.values()), width, config.answer_width)
            answers = predict(model, samples, batch_size=batch_size).answers
            pairs = zip(cut.items(), answers, strict=True)
            errs += [i for (i, program), answer in pairs if answer != program.answer]
        for i in errs:
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
