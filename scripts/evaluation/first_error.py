"""Find the first operation of each question at which a model errs."""

from collections.abc import Sequence
from dataclasses import replace

from scripts.core.inference import predict
from scripts.core.model_loading import LoadedModel, row_width
from vsc_dataset.configs import TaskConfig
from vsc_dataset.encoding import encode_all
from vsc_dataset.language import Program, parse


def first_wrong_steps(
    loaded: LoadedModel,
    questions: Sequence[str],
    wrong: Sequence[bool],
    config: TaskConfig,
    steps: range,
) -> list[int | None]:
    """Evaluate the same questions again, cut after each number of operations.

    Args:
      wrong: whether the model answered the whole questions wrong; they are not evaluated again,
        for rounding must not change that.
      config: of layout and answer field.
      steps: the numbers of operations that the model was trained on, rising.
    Returns:
      For each question the smallest k of `steps`, at most its own operations, at which the model
      errs on the question cut after k of them; None where it errs at none.
    """
    first: list[int | None] = [None] * len(questions)
    if not steps:
        return first
    span = (steps[0], steps[-1])
    width = row_width(
        loaded, replace(config, grid_nops=(), nops=span, eval_nops=span, complete=False)
    )
    programs = [parse(question) for question in questions]
    for k in steps:
        right = [i for i, step in enumerate(first) if step is None]
        cut = {
            i: Program(programs[i].letters, programs[i].operations[:k], config.layout)
            for i in right
            if len(programs[i].operations) > k
        }
        errs = [i for i in right if len(programs[i].operations) == k and wrong[i]]
        if cut:
            samples = encode_all(list(cut.values()), width, config.answer_width)
            answers = predict(loaded.model, samples).answers
            pairs = zip(cut.items(), answers, strict=True)
            errs += [i for (i, program), answer in pairs if answer != program.answer]
        for i in errs:
            first[i] = k
    return first
