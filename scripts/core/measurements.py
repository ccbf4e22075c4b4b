"""A model and questions -> error rates, loss and the answers themselves."""

from typing import Any, NamedTuple

from torch import nn

from scripts.core.inference import BATCH_SIZE, predict
from vsc_dataset import Examples
from vsc_dataset.metrics.vsc_error.error_rates import error_rates


class Measurement(NamedTuple):
    """What a model makes of N questions: `error_rates` by nops and length, loss, the texts.

    `seconds` is the time of asking, without the drawing of questions and the counting of errors.
    """

    rates: dict[str, Any]
    loss: float
    questions: list[str]
    references: list[str]
    predictions: list[str]
    seconds: float | None = None


def measure(
    model: nn.Module, examples: Examples, loss: str = "answer", batch_size: int = BATCH_SIZE
) -> Measurement:
    """Ask the model all questions; see `predict` and `error_rates`."""
    answers, mean, seconds = predict(model, examples, loss, batch_size)
    questions, references = examples.questions(), examples.answers()
    width = int(examples.answer_mask[0].sum())
    rates = error_rates(answers, references, questions, width)
    return Measurement(rates, mean, questions, references, answers, seconds)
