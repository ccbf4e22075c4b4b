"""A model's answers next to the true ones, and those that a picture shows."""

from collections.abc import Sequence
from typing import NamedTuple

from scripts.reporting.figures import AnswerRow
from vsc_dataset.metrics.vsc_error.error_rates import wrong_characters

PICTURE_ROWS = 12
"""Answers in each block of the picture."""


class Answered(NamedTuple):
    """The questions of N samples, their true answers and a model's."""

    questions: Sequence[str]
    references: Sequence[str]
    predictions: Sequence[str]


def worst_and_best(
    answered: Answered, answer_width: int, rows: int = PICTURE_ROWS
) -> dict[str, list[AnswerRow]]:
    """Choose the rows of the picture, at most `rows` under each title.

    They are the answers with most wrong characters, then those with fewest; among equals the
    longest questions, because they are the hardest.
    """
    questions, references, predictions = answered
    wrong_NxW = wrong_characters(predictions, references, answer_width).tolist()
    answers = list(map(AnswerRow, questions, predictions, references, wrong_NxW))
    answers.sort(key=lambda row: -len(row.question))
    worst = sorted(answers, key=lambda row: -sum(row.wrong))[:rows]
    best = sorted(answers, key=lambda row: sum(row.wrong))[:rows]
    total, wrong = len(answers), sum(any(row.wrong) for row in answers)
    return {
        f"worst: {wrong:,} of {total:,} answers are wrong": worst,
        f"best: {total - wrong:,} of {total:,} answers are right": best,
    }
